"""The rules of the house as functions over a tree of source files, so that they can be shown to find what they forbid.

In: the folder of a repository. Out: findings, a line each; none where the rules hold. Never: an import of what it reads.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PRODUCT = ("schemas", "pipeline", "jobs")
FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60
ARGUMENTS_MAX = 6
STAGES = ("source", "decode", "normalize", "redact", "measure", "store", "tier", "publish", "detect", "archive", "explain", "notify", "query")
RULED = ("measure", "detect", "archive", "explain", "notify")  # the stages that know rules; the others move rows
PURE = tuple(f"pipeline.{part}" for part in ("decode", "normalize", "redact", "measure", "detect", "archive", "explain", "rules"))
# What each part may import of ours, by prefix; a part may always import itself. Jobs are programs: they may import everything but tests.
MAY_IMPORT = {
    "schemas": (),
    "pipeline.kernel": ("schemas",),
    "pipeline.rules": ("schemas", "pipeline.kernel"),
    **{f"pipeline.{stage}": ("schemas", "pipeline.kernel", *(("pipeline.rules",) if stage in RULED else ())) for stage in STAGES},
    "pipeline.verify": ("pipeline.kernel",),  # the independent reader: what it shared with the writer, it could not check
    "pipeline.flow": ("schemas", "pipeline"),
    "pipeline.start": ("schemas", "pipeline"),
    "pipeline.load": ("schemas", "pipeline"),
    "pipeline.redrive": ("schemas", "pipeline"),
    "pipeline.transform": ("schemas", "pipeline"),
    "pipeline.watch": ("schemas", "pipeline"),
    "pipeline.stream": ("schemas", "pipeline"),
    "pipeline.rulebook": ("schemas", "pipeline"),
    "pipeline.detection": ("schemas", "pipeline"),
    "pipeline.archiving": ("schemas", "pipeline"),
    "pipeline.explaining": ("schemas", "pipeline"),
    "pipeline.notifying": ("schemas", "pipeline"),
    "pipeline.registering": ("schemas", "pipeline"),
    "jobs": ("schemas", "pipeline"),
}
# Libraries with side effects have one home each.
HOMES = {
    "confluent_kafka": ("pipeline.source", "pipeline.publish", "pipeline.verify"),
    "deltalake": ("pipeline.store", "pipeline.tier", "pipeline.query"),  # query reads: one snapshot of each table, and its object store
    "obstore": ("pipeline.store",),
    "pyarrow.parquet": ("pipeline.store", "pipeline.tier", "pipeline.verify"),
    "duckdb": ("pipeline.query", "pipeline.tier"),
    "lark": ("pipeline.rules",),
    "numba": ("pipeline.kernel.compiling",),
    "llvmlite": ("pipeline.kernel.machine_code", "pipeline.kernel.compiling"),
    "urllib3": ("pipeline.notify", "pipeline.source"),
    "yaml": ("pipeline.rules",),
    "time": ("pipeline.kernel.clock",),
    "prometheus_client": ("pipeline.kernel.metrics", "jobs.http"),
    "os.environ": ("pipeline.kernel.environment",),
    "os.getenv": ("pipeline.kernel.environment",),
    "datetime.now": ("pipeline.kernel.clock",),
    "datetime.utcnow": ("pipeline.kernel.clock",),
    "datetime.today": ("pipeline.kernel.clock",),
    "date.today": ("pipeline.kernel.clock",),
}
IMPURE = frozenset({"os", "pathlib", "random", "secrets", "shutil", "socket", "subprocess", "tempfile", "threading", "time", "urllib", "uuid"})
IMPURE_CALLS = frozenset({"open", "print", "input"})


@dataclass(frozen=True)
class Module:
    """One file: its name without `tracebraid.`, its path, and its syntax tree."""

    name: str
    path: Path
    text: str
    tree: ast.Module


def modules(root: Path, *folders: str) -> Iterator[Module]:
    for folder in folders:
        for path in sorted((root / folder).rglob("*.py")):
            relative = path.relative_to(root)
            text = path.read_text(encoding="utf-8")
            yield Module(".".join(relative.with_suffix("").parts).removesuffix(".__init__"), relative, text, ast.parse(text))


def within(name: str, *prefixes: str) -> bool:
    return any(name == prefix or name.startswith(f"{prefix}.") for prefix in prefixes)


def imports(module: Module) -> Iterator[tuple[int, str]]:
    """Every imported name with its line: `from a import b` is a.b, and a relative import begins with a dot."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)


def _part(name: str) -> str | None:
    return max((part for part in MAY_IMPORT if within(name, part)), key=len, default=None)


def forbidden_imports(root: Path) -> list[str]:
    """Imports against `jobs → pipeline.flow → stages → pipeline.rules, pipeline.kernel → schemas`, or not through `tracebraid`."""
    found = []
    for module in modules(root, *PRODUCT):
        part = _part(module.name)
        for line, name in imports(module):
            where = f"{module.path}:{line}"
            if name.startswith(".") or within(name, *PRODUCT):
                found.append(f"{where}: {name} is not imported through tracebraid")
            elif within(name, "tests", "benchmarks"):
                found.append(f"{where}: the product imports {name}")
            elif within(name, "tracebraid"):
                ours = name.removeprefix("tracebraid.")
                if part is None and module.name != "pipeline":
                    found.append(f"{where}: {module.name} is no part that the rules know")
                elif part is None or not within(ours, part, *MAY_IMPORT[part]):
                    found.append(f"{where}: {module.name} imports {ours}")
    return found


def _attributes(module: Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Attribute):
            owner = node.value.id if isinstance(node.value, ast.Name) else node.value.attr if isinstance(node.value, ast.Attribute) else ""
            yield node.lineno, f"{owner}.{node.attr}"


def strays(root: Path) -> list[str]:
    """Libraries with side effects outside of their homes."""
    found = []
    for module in modules(root, *PRODUCT):
        for line, name in [*imports(module), *_attributes(module)]:
            for library, homes in HOMES.items():
                if within(name, library) and not within(module.name, *homes) and (library != "time" or (line, name) in imports(module)):
                    found.append(f"{module.path}:{line}: {name} belongs in {' or '.join(homes)}")
    return found


def impurities(root: Path) -> list[str]:
    """Clocks, files, sockets, chance and output in the stages that are pure."""
    found = []
    for module in modules(root, *PRODUCT):
        if not within(module.name, *PURE):
            continue
        found += [f"{module.path}:{line}: imports {name}" for line, name in imports(module) if name.partition(".")[0] in IMPURE]
        calls = (node for node in ast.walk(module.tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name))
        found += [f"{module.path}:{call.lineno}: calls {call.func.id}" for call in calls if isinstance(call.func, ast.Name) and call.func.id in IMPURE_CALLS]
    return found


def _is_a_command(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """A command's parameters are its options; click passes each by its name."""
    names = [
        node.attr if isinstance(node, ast.Attribute) else node.id
        for d in function.decorator_list
        for node in ast.walk(d)
        if isinstance(node, ast.Attribute | ast.Name)
    ]
    return any(name in ("command", "option", "argument", "group") or name.endswith("_option") for name in names)


def oversized(root: Path, *folders: str) -> list[str]:
    """Files, functions and argument lists beyond what a reader holds in mind."""
    found = []
    for module in modules(root, *folders):
        if (lines := len(module.text.splitlines())) > FILE_LINES_MAX:
            found.append(f"{module.path}: {lines} lines, at most {FILE_LINES_MAX}")
        for node in ast.walk(module.tree):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            if (lines := (node.end_lineno or node.lineno) - node.lineno + 1) > FUNCTION_LINES_MAX:
                found.append(f"{module.path}:{node.lineno}: {node.name} has {lines} lines, at most {FUNCTION_LINES_MAX}")
            arguments = [argument.arg for argument in (*node.args.posonlyargs, *node.args.args) if argument.arg not in ("self", "cls")]
            if len(arguments) > ARGUMENTS_MAX and not _is_a_command(node):
                found.append(
                    f"{module.path}:{node.lineno}: {node.name} takes {len(arguments)} arguments, at most {ARGUMENTS_MAX} beside those by keyword alone"
                )
    return found


def undocumented(root: Path, *folders: str) -> list[str]:
    """Modules without a docstring; an empty `__init__` needs none."""
    return [f"{module.path}: no module docstring" for module in modules(root, *folders) if module.text.strip() and not ast.get_docstring(module.tree)]


def unused(root: Path) -> list[str]:
    """Top-level names of the product, limits among them, that nothing in the product or the benchmarks uses."""
    defined: list[tuple[Module, int, str]] = []
    used: set[str] = set()
    for module in modules(root, *PRODUCT, "tracebraid", "benchmarks"):
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                used.add(node.id)
            elif isinstance(node, ast.Attribute):
                used.add(node.attr)
            elif isinstance(node, ast.ImportFrom):
                used.update(alias.name for alias in node.names)
        for statement in module.tree.body if within(module.name, *PRODUCT) else ():
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target] if isinstance(statement, ast.AnnAssign) else []
            defined += [(module, statement.lineno, target.id) for target in targets if isinstance(target, ast.Name)]
            if isinstance(statement, ast.FunctionDef | ast.ClassDef) and not statement.decorator_list:
                defined.append((module, statement.lineno, statement.name))
    strings = " ".join(module.text for module in modules(root, *PRODUCT))
    # A name in quotes is used too: importlib and click find some so.
    return [f"{m.path}:{line}: {name} is used nowhere" for m, line, name in defined if name not in used and f'"{name}"' not in strings and name != "__all__"]


MACHINE_PATH = re.compile(r"(?<![\w.}$-])/(?:root|home/(?!someone/)\w+|wor" + r"k|Users/\w+)/")
REGISTRY = re.compile(
    r"(?:(?:extra-)?index[-]url|trusted[-]host|--hash[=]|@ https?:)|(?:pypi|npmjs|proxy\.golang|crates|repo\d?\.maven)[\w.-]*\.(?:org|io|com|apache)\b", re.I
)


def traces_of_a_machine(root: Path, paths: list[str]) -> list[str]:
    """Paths of somebody's machine and names of package registries in text files."""
    found = []
    for path in paths:
        try:
            text = (root / path).read_text(encoding="utf-8")
        except (UnicodeDecodeError, IsADirectoryError, FileNotFoundError):
            continue
        for number, line in enumerate(text.splitlines(), 1):
            found += [f"{path}:{number}: {match.group()}" for pattern in (MACHINE_PATH, REGISTRY) if (match := pattern.search(line))]
    return found
