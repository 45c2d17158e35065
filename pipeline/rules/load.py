"""Rules from YAML, checked wholly: every name, type and unit.

In: text and the name of its source. Out: rules, or one error that tells each mistake by file, line and column. Never: a file.
"""

import re
from dataclasses import replace
from functools import cache
from importlib import resources
from typing import Any

import yaml

from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.rules.compile import Expressions, compile_expressions
from tracebraid.pipeline.rules.document import Document
from tracebraid.pipeline.rules.errors import ExpressionError, RuleError
from tracebraid.pipeline.rules.keys import Reader
from tracebraid.pipeline.rules.parse import number_of, parse
from tracebraid.pipeline.rules.slo import DAY_US, DEFAULT_PERIOD_US, DEFAULT_WINDOWS
from tracebraid.pipeline.rules.syntax import Node
from tracebraid.pipeline.rules.text import canonical
from tracebraid.schemas.rule import FORMATS, ON_MISSING, SIGNALS, BurnWindow, Rule, Slo

_TIMES = ("for", "keep_firing_for", "missing_for", "lateness", "adapt_after")
KEYS = (
    *("name", "on", "where", "by", "window", "every", "when", "slo", "consecutive", *_TIMES),
    *("on_missing", "timezone", "labels", "annotations", "max_series", "format"),
)
_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,99}", re.A)
_SECOND_US = 1_000_000


def load_rules(text: str, source: str) -> list[Rule]:
    """The rules of one file: a list, or a mapping whose key `rules` holds it. Raises RuleError with every mistake in it."""
    document = Document(text, source)
    reader = Reader(document)
    root = document.root
    if isinstance(root, yaml.MappingNode) and any(getattr(key, "value", None) == "rules" for key, _ in root.value):
        root = reader.mapping(root, ("rules",))["rules"][1]
    rules: list[Rule] = []
    for node in reader.sequence(root, "rules", limits.rules_max) if root is not None else ():
        rule = _Loading(reader, node).rule()
        if rule is None:
            continue
        if any(rule.name == other.name for other in rules):
            reader.mistake(node, f"there is a rule {rule.name} above", "give it another name")
        rules.append(rule)
    if reader.mistakes:
        raise RuleError(source, reader.mistakes)
    return rules


@cache
def starter_text() -> str:
    """The rules that work on any telemetry, as YAML."""
    return resources.files("tracebraid.pipeline.rules").joinpath("starter.yaml").read_text(encoding="utf-8")


class _Loading:
    """One rule on its way."""

    def __init__(self, reader: Reader, node: yaml.Node) -> None:
        self.reader = reader
        self.node = node
        self.keys = reader.mapping(node, KEYS, "a rule")
        self.expressions: dict[str, tuple[yaml.Node, Node]] = {}

    def rule(self) -> Rule | None:
        """None where it has mistakes, which are noted."""
        before = len(self.reader.mistakes)
        if not self.keys:
            return None
        values: dict[str, Any] = {"name": self._name(), "on": self._on(), "by": self._by()}
        values |= {key: self._expression(key) for key in ("where", "when") if key in self.keys}
        values |= self._times() | self._others()
        if ("when" in self.keys) == ("slo" in self.keys) and len(self.keys) == len(self.node.value):
            self.reader.mistake(self.node, "a rule has either `when` or `slo`", "add one" if "when" not in self.keys else "make two rules of it")
        if "slo" in self.keys:
            values["slo"] = self._slo(self.keys["slo"][1])
        if len(self.reader.mistakes) > before:
            values = {key: value for key, value in values.items() if key in ("name", "on", "by", "where", "when", "window_us", "every_us")}
        self._compile(Rule(**{"when": "", **values}))
        return None if len(self.reader.mistakes) > before else Rule(**{"when": "", **values})

    def _value(self, key: str) -> yaml.Node | None:
        return self.keys[key][1] if key in self.keys else None

    def _name(self) -> str:
        node = self._value("name")
        if node is None:
            self.reader.mistake(self.node, "a rule without a name", "add `name: …`")
            return "-"
        name = self.reader.text(node, "name")
        if not _NAME.fullmatch(name):
            self.reader.mistake(node, f"{name[:40]!r} is no name", "letters, digits, - _ and ., at most 100")
        return name

    def _on(self) -> str:
        node = self._value("on")
        if node is None:
            self.reader.mistake(self.node, "a rule that looks at nothing", "add `on: spans`, logs or records")
            return "spans"
        return self.reader.choice(node, "on", SIGNALS)

    def _by(self) -> tuple[str, ...]:
        node = self._value("by")
        if node is None:
            return ()
        texts = self.reader.texts(node, "by")
        if len(texts) > limits.rule_labels_max:
            self.reader.mistake(node, f"{len(texts)} names to group by", f"there may be {limits.rule_labels_max}")
        found: list[str] = []
        for text, name in texts[: limits.rule_labels_max]:
            parsed = self._parsed(f"by.{len(found)}", text, name)
            label = canonical(parsed) if parsed is not None else text
            if label in found:
                self.reader.mistake(name, f"{label} is given twice", "leave one out")
            found.append(label)
        return tuple(found)

    def _expression(self, key: str, node: yaml.Node | None = None) -> str:
        node = node or self.keys[key][1]
        parsed = self._parsed(key, self.reader.text(node, key), node)
        return canonical(parsed) if parsed is not None else ""

    def _parsed(self, key: str, text: str, node: yaml.Node) -> Node | None:
        try:
            parsed = parse(text)
        except ExpressionError as error:
            self.reader.mistake(node, error.what, error.hint, error.at)
            return None
        self.expressions[key] = node, parsed
        return parsed

    def _times(self) -> dict[str, int]:
        bounds = dict.fromkeys(_TIMES, limits.rule_for_s_max) | {"lateness": limits.rule_lateness_s_max}
        found = {f"{key}_us": self.reader.duration(self.keys[key][1], key, bounds[key]) for key in _TIMES if key in self.keys}
        for key in ("window", "every"):
            if node := self._value(key):
                found[f"{key}_us"] = self.reader.duration(node, key, limits.rule_window_s_max, least_us=_SECOND_US)
        window_us, every = found.get("window_us", 60 * _SECOND_US), self._value("every")
        found.setdefault("every_us", window_us)
        if every is not None and "slo" not in self.keys and window_us % found["every_us"]:
            self.reader.mistake(every, "window is no multiple of every", "as window: 5m with every: 1m")
        return found

    def _others(self) -> dict[str, Any]:
        read = self.reader
        values: dict[str, Any] = {}
        for key, (_, node) in self.keys.items():
            match key:
                case "on_missing":
                    values[key] = read.choice(node, key, ON_MISSING)
                case "format":
                    values[key] = read.choice(node, key, FORMATS)
                case "consecutive":
                    values[key] = read.whole(node, key, limits.rule_consecutive_max)
                case "max_series":
                    values[key] = read.whole(node, key, limits.rule_series_max)
                case "timezone":
                    values[key] = read.timezone(node)
                case "labels" | "annotations":
                    values[key] = read.pairs(node, key)
        return values

    def _slo(self, node: yaml.Node) -> Slo:
        found = self.reader.mapping(node, ("objective", "good", "windows", "period"), "an slo")
        for key in ("objective", "good"):
            if found and key not in found:
                self.reader.mistake(node, f"an slo without {key}", "as {objective: 99.9, good: status_code <> 'ERROR'}")
        objective = self._objective(found["objective"][1]) if "objective" in found else 0.0
        good = self._expression("good", found["good"][1]) if "good" in found else ""
        windows = self._burn_windows(found["windows"][1]) if "windows" in found else DEFAULT_WINDOWS
        self.keys["windows"] = found["windows"] if "windows" in found else self.keys["slo"]
        period = self.reader.duration(found["period"][1], "period", 90 * 86_400, least_us=DAY_US) if "period" in found else DEFAULT_PERIOD_US
        return Slo(objective, good, windows, period)

    def _objective(self, node: yaml.Node) -> float:
        text = self.reader.text(node, "objective").removesuffix("%").strip()
        try:
            value = number_of(text, 0).value if re.fullmatch(r"\d+(\.\d+)?", text) else None
        except ExpressionError:
            value = None
        if not isinstance(value, int | float) or not 1 <= value < 100:
            self.reader.mistake(node, f"objective cannot be {text or 'empty'}", "it is a percentage below 100, as 99.9")
            return 0.0
        return float(f"{value / 100:.12g}")

    def _burn_windows(self, node: yaml.Node) -> tuple[BurnWindow, ...]:
        if isinstance(node, yaml.ScalarNode):
            if node.value != "default":
                self.reader.mistake(node, f"windows cannot be {node.value}", "write default, or a list of {factor: 14.4, long: 1h, short: 5m}")
            return DEFAULT_WINDOWS
        windows = []
        for each in self.reader.sequence(node, "windows", limits.slo_windows_max):
            found = self.reader.mapping(each, ("factor", "long", "short"), "a window")
            if len(found) < 3:
                self.reader.mistake(each, "a window needs factor, long and short", "as {factor: 14.4, long: 1h, short: 5m}")
                continue
            long_us, short_us = (self.reader.duration(found[key][1], key, limits.rule_window_s_max, least_us=_SECOND_US) for key in ("long", "short"))
            factor = self.reader.text(found["factor"][1], "factor")
            if not re.fullmatch(r"\d{1,6}(\.\d{1,6})?", factor) or not float(factor):
                self.reader.mistake(found["factor"][1], f"factor cannot be {factor or 'empty'}", "it is a number above 0, as 14.4")
            elif short_us >= long_us:
                self.reader.mistake(found["short"][1], "the short window is not shorter than the long one", "a twelfth of it is usual")
            else:
                windows.append(BurnWindow(float(factor), long_us, short_us))
        if not windows and not self.reader.mistakes:
            self.reader.mistake(node, "an slo without windows", "leave it out for the default ones")
        return tuple(windows)

    def _compile(self, rule: Rule) -> None:
        """Checks what could be parsed; what could not was told."""
        nodes = {key: node for key, (_, node) in self.expressions.items()}
        if rule.slo is None and "good" in nodes:
            rule = replace(rule, slo=Slo(0.5, "", DEFAULT_WINDOWS, DEFAULT_PERIOD_US))
        by = tuple(nodes[key] for key in sorted(nodes) if key.startswith("by."))
        if len(by) < len(rule.by):
            rule = replace(rule, by=())
        compiled = compile_expressions(rule, Expressions(nodes.get("where"), nodes.get("when"), nodes.get("good"), by))
        for key, error in compiled.mistakes:
            node = self.expressions[key][0] if key in self.expressions else self.keys[key][1]
            self.reader.mistake(node, error.what, error.hint, error.at if key in self.expressions else 0)
