"""The keys of a rule: YAML values → the values of a Rule.

In: nodes with places. Out: times in microseconds, texts, whole numbers. Every mistake is noted and the rest read on.
"""

import re
from collections.abc import Iterable, Sequence
from zoneinfo import ZoneInfo

import yaml

from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.rules.document import Document, text_of
from tracebraid.pipeline.rules.errors import ExpressionError, Mistake, listed, meant
from tracebraid.pipeline.rules.parse import number_of
from tracebraid.pipeline.rules.text import quantity

_DURATION = re.compile(r"\d+(?:\.\d*)? ?[a-z]+")
_LABEL = re.compile(r"[A-Za-z_]\w{0,99}", re.A)


class Reader:
    """Reads nodes of one document and gathers mistakes."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.mistakes: list[Mistake] = []

    def mistake(self, node: yaml.Node, what: str, hint: str = "", offset: int = 0) -> None:
        line, column = self.document.place(node, offset)
        self.mistakes.append(Mistake(line, column, what, hint))

    def mapping(self, node: yaml.Node, known: Sequence[str] = (), what: str = "a mapping") -> dict[str, tuple[yaml.ScalarNode, yaml.Node]]:
        """Key → (its node, its value's). known: the keys that may stand there; () for any."""
        if not isinstance(node, yaml.MappingNode):
            self.mistake(node, f"{_told(node)} stands where {what} is wanted", f"with {listed(list(known)[:4])}" if known else "as {key: value}")
            return {}
        found: dict[str, tuple[yaml.ScalarNode, yaml.Node]] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self.mistake(key, f"{_told(key)} is no key")
            elif known and key.value not in known:
                self.mistake(key, f"there is no key {key.value}", meant(key.value, known) or f"there are {listed(list(known))}")
            elif key.value in found:
                self.mistake(key, f"{key.value} is given twice", "leave one out")
            else:
                found[key.value] = key, value
        return found

    def text(self, node: yaml.Node, what: str) -> str:
        if isinstance(node, yaml.ScalarNode):
            return text_of(node)
        self.mistake(node, f"{_told(node)} stands where {what} takes a text")
        return ""

    def texts(self, node: yaml.Node, what: str) -> list[tuple[str, yaml.Node]]:
        """One text, or a list of them, each with its node."""
        nodes = node.value if isinstance(node, yaml.SequenceNode) else [node]
        return [(self.text(each, what), each) for each in nodes]

    def choice(self, node: yaml.Node, what: str, choices: Sequence[str]) -> str:
        text = self.text(node, what)
        if text and text not in choices:
            self.mistake(node, f"{what} cannot be {text}", meant(text, choices) or f"it is {listed(list(choices))}")
        return text if text in choices else choices[0]

    def duration(self, node: yaml.Node, what: str, seconds_max: float, *, least_us: int = 0) -> int:
        """Microseconds. 1 m where it cannot be read, which is noted."""
        text = self.text(node, what)
        try:
            if not _DURATION.fullmatch(text):
                raise ExpressionError(f"{what} cannot be {text or 'empty'}", 0, "write a number and a unit, as 30s, 5m, 1h")
            number = number_of(text, 0)
            value = float(number.value) if isinstance(number.value, int | float) else 0.0
            if number.unit != "ns" or value % 1000:
                raise ExpressionError(f"{what} cannot be {text}", 0, "write whole microseconds or more, as 30s, 5m, 1h")
        except ExpressionError as error:
            self.mistake(node, error.what, error.hint)
            return 60_000_000
        if not least_us * 1000 <= value <= seconds_max * 1e9:
            least = f"from {quantity(least_us * 1000.0, 'ns')} " if least_us else ""
            self.mistake(node, f"{what} cannot be {text}", f"it goes {least}to {quantity(seconds_max * 1e9, 'ns')}")
            return 60_000_000
        return int(value) // 1000

    def whole(self, node: yaml.Node, what: str, most: int) -> int:
        text = self.text(node, what).replace("_", "")
        if not text.isdecimal() or not text.isascii() or len(text) > 18 or not 1 <= int(text) <= most:
            self.mistake(node, f"{what} cannot be {text or 'empty'}", f"it is a whole number from 1 to {most}")
            return 1
        return int(text)

    def timezone(self, node: yaml.Node) -> str:
        text = self.text(node, "timezone")
        try:
            if text != "UTC":
                ZoneInfo(text)
        except (ValueError, OSError, LookupError):
            self.mistake(node, f"there is no time zone {text or 'without a name'}", "as Europe/Berlin")
            return "UTC"
        return text

    def pairs(self, node: yaml.Node, what: str) -> tuple[tuple[str, str], ...]:
        """Labels and annotations."""
        found = []
        for name, (key, value) in self.mapping(node, what=f"a mapping of {what}").items():
            text = self.text(value, name)
            if not _LABEL.fullmatch(name):
                self.mistake(key, f"{name} is no name of {what}", "letters, digits and _")
            elif len(text) > limits.rule_text_chars_max:
                self.mistake(value, f"a text of {len(text)} characters", f"it may have {limits.rule_text_chars_max}")
            else:
                found.append((name, text))
        return tuple(found)

    def sequence(self, node: yaml.Node, what: str, most: int) -> Iterable[yaml.Node]:
        if not isinstance(node, yaml.SequenceNode):
            self.mistake(node, f"{_told(node)} stands where a list of {what} is wanted")
            return []
        if len(node.value) > most:
            self.mistake(node, f"{len(node.value)} {what}", f"there may be {most}")
        nodes: list[yaml.Node] = node.value[:most]
        return nodes


def _told(node: yaml.Node) -> str:
    return "a list" if isinstance(node, yaml.SequenceNode) else "a mapping" if isinstance(node, yaml.MappingNode) else "a text" if node.value else "nothing"
