"""Where settings come from: a TOML file, over it `TRACEBRAID_…` environment variables, over those a command's options.

In: a path, options; this is the one home of os.environ. Out: Settings that know where each value came from. Never: a secret in an error.
"""

import difflib
import os
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, get_origin

import orjson
from pydantic import BaseModel, ValidationError

from tracebraid.pipeline.kernel.errors import UsageError
from tracebraid.pipeline.kernel.masking import without_secrets
from tracebraid.pipeline.kernel.settings import Settings, texts

PREFIX = "TRACEBRAID_"
CONFIG_VARIABLE = "TRACEBRAID_CONFIG"
# Of the tests, not settings.
IGNORED_PREFIX = "TRACEBRAID_TEST_"
# Sections of free names, and what '_' stands for in them: librdkafka's names have dots, which a variable's name cannot have.
# The object store's own variables that say where it is: beneath the file's storage_options, so that whatever reads the lake goes to the same place.
# Its credentials are not among them: the clients read those themselves, and renew them.
STORE_VARIABLES = ("AWS_ENDPOINT_URL", "AWS_ALLOW_HTTP", "AWS_REGION", "AWS_DEFAULT_REGION")
FREE_SECTIONS = {"client": ".", "storage_options": "_"}
HIDDEN = (*FREE_SECTIONS, "notify", "schema_registry", "redact")  # what was given there is not repeated in an error: it may be a secret


def load_settings(path: str | Path | None = None, environ: Mapping[str, str] | None = None, **options: Any) -> Settings:
    """Settings from the file at `path` (else the one that TRACEBRAID_CONFIG names, else none), the environment, and `options`; the last wins.

    environ: os.environ unless given. options: by setting, sections as mappings; None is no value. A variable that is no setting gives a warning.
    Raises UsageError, one line for the first mistake, with the file's or the variable's name and how many others there are.
    """
    environ = os.environ if environ is None else environ
    source = str(path or environ.get(CONFIG_VARIABLE) or "")
    found, notes = _from_environment(environ)
    variables = {name: variable for variable, name in _variables(environ)}
    options = {name: value for name, value in options.items() if value is not None}
    written = _from_file(source) if source else {}
    below = ({"storage_options": _store_variables(environ, written, found)}, lambda name: name.partition(".")[2].upper())
    layers = (below, (written, lambda _: source), (found, variables.__getitem__), (options, lambda _: "option"))
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for layer, origin in layers:
        for name, value in _leaves(layer):
            _put(values, name, value)
            origins[".".join(name)] = origin(".".join(name))
    try:
        settings = Settings(**values)
    except ValidationError as error:
        raise _explain(error, origins, source) from None
    settings._origins.update(origins)
    settings._notes = tuple(notes)
    return settings


def _store_variables(environ: Mapping[str, str], *layers: Mapping[str, Any]) -> dict[str, str]:
    """STORE_VARIABLES as options; without the endpoint where a layer has one, under whichever of its names."""
    store = {name.lower(): environ[name] for name in STORE_VARIABLES if environ.get(name)}
    if any("endpoint" in name.lower() for layer in layers for name in layer.get("storage_options") or ()):
        store.pop("aws_endpoint_url", None)
    return store


def known_variables() -> dict[str, str]:
    """Every variable that is a setting, with the setting's dotted name; client and storage_options have any number more."""
    return {CONFIG_VARIABLE: "", **{PREFIX + name.upper().replace(".", "__"): name for name in _names(Settings)}}


def _names(model: type[BaseModel]) -> Iterator[str]:
    return (name for name, _ in _leaf_types(model) if name not in FREE_SECTIONS)


def _leaf_types(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every setting's dotted name, and its type."""
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _leaf_types(field.annotation, f"{prefix}{name}.")
        else:
            yield prefix + name, field.annotation


def _variables(environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """The variables that are set, with their setting's dotted name; '' for those that are no setting. An empty value is no value."""
    known = known_variables()
    for variable in sorted(environ):
        if not variable.startswith(PREFIX) or variable.startswith(IGNORED_PREFIX) or variable == CONFIG_VARIABLE or not environ[variable]:
            continue
        section, _, rest = variable.removeprefix(PREFIX).lower().partition("__")
        if section in FREE_SECTIONS and rest:
            yield variable, f"{section}.{rest.replace('_', FREE_SECTIONS[section])}"
        else:
            yield variable, known.get(variable, "")


def _from_environment(environ: Mapping[str, str]) -> tuple[dict[str, Any], list[str]]:
    """Values as their variables have them: lists as JSON, all else as text, of which pydantic makes numbers."""
    set_here = list(_variables(environ))
    lists = {name for name, kind in _leaf_types(Settings) if get_origin(kind) is tuple}
    values: dict[str, Any] = {}
    for variable, name in set_here:
        section, _, rest = name.partition(".")
        if section in FREE_SECTIONS:  # as they stand: a password that looks like JSON is still that text
            values.setdefault(section, {})[rest] = environ[variable]
        elif name:
            _put(values, tuple(name.split(".")), _listed(variable, environ[variable]) if name in lists else environ[variable])
    known = known_variables()
    return values, [f"{variable} is no setting{_meant(variable, known, PREFIX)}; it is ignored" for variable, name in set_here if not name]


def _listed(variable: str, text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        raise UsageError(f"{variable} is not JSON", """Write it as ["one", "two"], or as [{"name": "otlp_spans", "encoding": "otlp_proto"}]""") from None


def _from_file(source: str) -> dict[str, Any]:
    try:
        return tomllib.loads(Path(source).read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read the settings file {source}: {error.strerror}", "Give --config another path, or unset TRACEBRAID_CONFIG") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{source} is not TOML: {error}", "Mend it there") from None


def _leaves(layer: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """What a layer says, by path: sections are merged setting by setting, everything else is replaced whole."""
    for name, value in layer.items():
        if not isinstance(value, Mapping):
            yield (name,), value
        elif not value and name not in FREE_SECTIONS:
            yield (name,), {}
        else:
            yield from (((name, key), item) for key, item in _section(name, value).items())


def _section(name: str, value: Mapping[str, Any]) -> Mapping[str, Any]:
    if name not in FREE_SECTIONS:
        return value
    try:
        flat: dict[str, str] = texts(value)
    except ValueError as error:
        raise UsageError(f"{name}: {error}", "Write it as in librdkafka's documentation") from None
    return flat if name == "client" else {key.lower(): item for key, item in flat.items()}


def _put(values: dict[str, Any], name: tuple[str, ...], value: Any) -> None:
    *sections, last = name
    for section in sections:
        if not isinstance(values.get(section), dict):
            values[section] = {}
        values = values[section]
    values[last] = value


def _explain(error: ValidationError, origins: Mapping[str, str], source: str) -> UsageError:
    first, *others = error.errors(include_url=False)
    path = [str(part) for part in first["loc"]]
    name = "".join(f"[{part}]" if part.isdigit() else f".{part}" for part in path).lstrip(".")
    origin = next((origins[known] for end in range(len(path), 0, -1) if (known := ".".join(path[:end])) in origins), source)
    where = origin if origin.startswith(PREFIX) else f"{name} in {origin}" if origin and origin != "option" else name
    more = f" ({len(others)} more)" if others else ""
    if first["type"] == "extra_forbidden":
        return UsageError(f"{where}: there is no such setting{_meant(name, _names(Settings))}{more}", "Remove or rename it")
    given = first["input"] if path and path[0] not in HIDDEN and isinstance(first["input"], str | int | float) else None
    shown = f" is {without_secrets(given) if isinstance(given, str) else given!r}" if given not in (None, "") else ""
    message = first["msg"].removeprefix("Value error, ")
    return UsageError(f"{where}{shown}: {message}{more}".removeprefix(": "), "Mend it; `tracebraid config check` says when all settings hold")


def _meant(name: str, known: Iterable[str], prefix: str = "") -> str:
    close = difflib.get_close_matches(name.removeprefix(prefix), [other.removeprefix(prefix) for other in known], n=1, cutoff=0.7)
    return f" (did you mean {prefix}{close[0]}?)" if close else ""


def for_libraries() -> None:
    """Before they are imported; what the user has set stays.

    numpy: its OpenBLAS starts a thread a core, which look for work all the time, 0.1 s of a start, and we multiply no matrices. Arrow: its own pool keeps what
    a cycle freed, 35 MiB at the peak of a drain, and takes new pages for the buffers of its Parquet writer all the same, which cost a tenth of encoding;
    pyarrow.set_memory_pool does not reach that writer."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")


def cache_directory() -> Path | None:
    """Where what can be made again may be kept: tracebraid's part of the user's cache; it need not be there, or be writable. None where nobody can say:
    a user without a home would get a folder `~` wherever he is."""
    place = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")) / "tracebraid"
    return place if place.is_absolute() else None
