"""YAML with places: text → scalars, sequences and mappings that know where they stand.

In: text. Out: nodes of PyYAML, whose scalars were read as text, and the line and column of any offset within one.
Never: a value constructed from a tag, an alias followed, a depth that could exhaust the stack.
"""

import re
from bisect import bisect_right
from functools import cached_property

import yaml

from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.rules.errors import Mistake, RuleError

# `key: value` within parentheses or quotes of an expression is no YAML in a plain scalar, nor is a # in quotes.
# This stands for the space until YAML is through.
_SPACE = "\ue000"
_EXPRESSION = re.compile(r"^ *(?:- +)?(?:where|when|good) *: +(?=[^\s'\"|>&*!#])", re.M)
_HALF = re.compile("[\ud800-\udfff]")  # what no UTF-8 holds: a message or a file with it could not be written
_STARTS = {"|": "block", ">": "block", "'": "quoted", '"': "quoted"}


class Document:
    """One text with its source's name. Raises RuleError where it is no YAML that rules can be."""

    def __init__(self, text: str, source: str) -> None:
        self.source = source
        self.text = _protected(text)
        if len(text.encode()) > limits.rule_file_bytes_max:
            raise self.error(1, 1, f"a file of {len(text.encode())} bytes", f"it may have {limits.rule_file_bytes_max}: split it")
        self.root = self._compose()

    def error(self, line: int, column: int, what: str, hint: str = "") -> RuleError:
        return RuleError(self.source, [Mistake(line, column, what, hint)])

    def _compose(self) -> yaml.Node | None:
        try:
            depth = 0
            for event in yaml.parse(self.text, Loader=yaml.SafeLoader):
                depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
                line, column = self._place(event.start_mark.index if event.start_mark else 0)
                if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
                    raise self.error(line, column, "an anchor or alias", "write it out")
                if depth > limits.rule_yaml_depth_max:
                    raise self.error(line, column, "nested too deeply", "rules are a list of mappings")
                if isinstance(event, yaml.ScalarEvent) and _HALF.search(event.value):
                    raise self.error(line, column, "half a character, as \\ud83d is", "write the character itself, or as \\U0001f600")
            return yaml.compose(self.text, Loader=yaml.SafeLoader)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            what = (error.problem or error.context or "no YAML").strip()
            hint = "put the expression into quotes, or below `|-`" if "mapping values" in what else ""
            raise self.error(mark.line + 1 if mark else 1, mark.column + 1 if mark else 1, what, hint) from None
        except yaml.reader.ReaderError as error:
            line, column = self._place(error.position)
            raise self.error(line, column, f"a character that YAML does not take: {error.reason}") from None

    @cached_property
    def _lines(self) -> list[int]:
        return [0, *(match.end() for match in re.finditer("\n", self.text))]

    def _place(self, index: int) -> tuple[int, int]:
        line = bisect_right(self._lines, index)
        return line, index - self._lines[line - 1] + 1

    def place(self, node: yaml.Node, offset: int = 0) -> tuple[int, int]:
        """Line and column, from 1, of a node, or of the character at `offset` of a scalar's value.

        Folding and indentation change blanks alone: so the characters between are found one after the other in the source.
        """
        start = node.start_mark.index
        if not isinstance(node, yaml.ScalarNode):
            return self._place(start)
        style = _STARTS.get(node.style or "")
        index = self.text.find("\n", start) if style == "block" else start + (style == "quoted")
        if not offset and style != "block":
            return self._place(index)
        inside = offset < len(node.value) and not node.value[offset].isspace()
        for character in node.value[: offset + 1] if inside else node.value[:offset]:
            if character.isspace() or character == _SPACE:
                continue
            found = self.text.find(character, index, node.end_mark.index)
            if found < 0:  # written with an escape
                return self._place(start)
            index = found + 1
        return self._place(index - inside)


def text_of(node: yaml.ScalarNode) -> str:
    """A scalar's text as it was meant, of the length that offsets are counted in."""
    return str(node.value).replace(_SPACE, " ")


def _protected(text: str) -> str:
    """The text with blanks that YAML would stumble on replaced, character by character."""
    characters = list(text)
    for match in _EXPRESSION.finditer(text):
        depth, quoted = 0, False
        for index in range(match.end(), len(text)):
            character = text[index]
            if character == "'":
                quoted = not quoted
            elif character == "\n" and not quoted and depth <= 0:
                break
            elif quoted and character == " " and (text[index - 1] == ":" or text[index + 1 : index + 2] == "#"):
                characters[index] = _SPACE
            elif not quoted:
                if character == "#" and text[index - 1] in " \n":
                    break
                depth += (character == "(") - (character == ")")
                if depth > 0 and character == " " and text[index - 1] == ":":
                    characters[index] = _SPACE
            if character == "\n" and re.match(r" *(?:- +)?\w+ *:(?:\s|$)", text[index + 1 : index + 200]):
                break  # a key on the next line: what was opened here is not closed, and the expression's parser will say so
    return "".join(characters)
