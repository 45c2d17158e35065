"""Mistakes in rules: several at once, a line each: 'file:line:column: what; what to do'."""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tracebraid.pipeline.kernel.errors import TracebraidError

_SHOWN_MAX = 20


class ExpressionError(TracebraidError):
    """A mistake at an offset of an expression's text."""

    def __init__(self, what: str, at: int, hint: str = "") -> None:
        super().__init__(what, hint)
        self.at = at


@dataclass(frozen=True, slots=True, order=True)
class Mistake:
    """One mistake in a file. line, column: from 1."""

    line: int
    column: int
    what: str
    hint: str = ""

    def told(self, source: str) -> str:
        """'file:line:column: what; what to do', in one line."""
        text = f"{source}:{self.line}:{self.column}: {self.what}" + (f"; {self.hint}" if self.hint else "")
        return " ".join(text.split())


class RuleError(TracebraidError):
    """Rules that cannot be used. `lines`: each mistake in one line."""

    def __init__(self, source: str, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = sorted(set(mistakes))
        self.lines = [mistake.told(source) for mistake in self.mistakes]
        beyond = len(self.lines) - _SHOWN_MAX
        shown = [*self.lines[:_SHOWN_MAX], *([f"{source}: and {beyond} more"] if beyond > 0 else [])]
        super().__init__("\n".join(shown))


def meant(word: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """'did you mean X?', or '' where nothing known is near."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=cutoff)
    return f"did you mean {near[0]}?" if near else ""


def listed(words: Sequence[str]) -> str:
    """'a, b or c'."""
    return f"{', '.join(words[:-1])} or {words[-1]}" if len(words) > 1 else "".join(words)
