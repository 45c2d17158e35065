"""Files of rules: arguments of commands → rules.

In: paths of files and folders. Out: rules, or every mistake of every file in a line each.
"""

from pathlib import Path

import click

from tracebraid.pipeline.kernel.errors import TracebraidError, UsageError
from tracebraid.pipeline.rules.errors import Mistake, RuleError
from tracebraid.pipeline.rules.load import load_rules
from tracebraid.schemas.rule import Rule

SUFFIXES = (".yaml", ".yml")
files_argument = click.argument("files", nargs=-1, required=True, metavar="FILE…", type=click.Path(exists=True, path_type=Path))


def read_rules(paths: tuple[Path, ...]) -> list[Rule]:
    """The rules of files, and of the YAML files of folders by name. Raises TracebraidError with every mistake of every file, a line each."""
    files = [file for path in paths for file in (_yaml_files(path) if path.is_dir() else [path])]
    rules: list[Rule] = []
    lines: list[str] = []
    where: dict[str, Path] = {}
    for file in files:
        try:
            found = load_rules(file.read_text(encoding="utf-8"), str(file))
        except RuleError as error:
            lines += error.lines
            continue
        except UnicodeDecodeError:
            lines.append(Mistake(1, 1, "no UTF-8", "save it as UTF-8").told(str(file)))
            continue
        except OSError as error:
            raise UsageError(f"{file} cannot be read: {error.strerror}", "Check the path and its rights") from None
        lines += [
            Mistake(1, 1, f"a rule {rule.name} is in {where[rule.name]} too", "give one another name").told(str(file)) for rule in found if rule.name in where
        ]
        where |= {rule.name: file for rule in found}
        rules += found
    if lines:
        raise TracebraidError("\n".join(lines))
    return rules


def _yaml_files(folder: Path) -> list[Path]:
    files = sorted(path for path in folder.rglob("*") if path.suffix in SUFFIXES and path.is_file())
    if not files:
        raise UsageError(f"{folder} holds no YAML file", f"Rules are in files that end with {' or '.join(SUFFIXES)}")
    return files
