"""What walkers write into: one array of int64, with offset tables over the bytes of a batch behind one another, of a size that is decided before the walk.

In: the size of the batch. Out: the array, and its parts as numpy sees them. Never: room that a record asks for: one that needs more than its batch's bytes
can earn is left to the reference decoder. One array, because numba counts references for every array that a function is given, and a walk is many small
functions.
"""

from contextlib import suppress
from dataclasses import dataclass
from mmap import MADV_HUGEPAGE, MAP_ANONYMOUS, MAP_PRIVATE, mmap

import numpy as np
import numpy.typing as npt

from tracebraid.pipeline.kernel.limits import KIB, MIB
from tracebraid.schemas.semconv import SPAN
from tracebraid.schemas.table import STRING

Ints = npt.NDArray[np.int64]
SPANS, LOGS, OBJECTS = range(3)  # signals; OBJECTS: logs as JSON objects
# Kinds of texts. Those of promoted columns follow: kind COLUMN + n is the n-th attribute of schemas.semconv.SPAN.
KEY, NAME, TRACE_STATE, STATUS_MESSAGE, SCHEMA_URL, RESOURCE, SCOPE, COLUMN = range(8)
SEVERITY_TEXT, EVENT_NAME = TRACE_STATE, NAME  # of logs, which have none of those
KINDS = COLUMN + len(SPAN)
COLUMNS = len(SPAN)
_NAMES = [(column, name.encode()) for column, promoted in enumerate(SPAN) for name in promoted.names]
NAMES = len(_NAMES)
# The head of the array: counters; those before U_LISTS go back when a record is given up.
U_ROWS, U_ITEMS, U_EVENTS, U_EVENT_ITEMS, U_LINKS, U_LINK_ITEMS, U_HARD, U_DIGITS, U_LISTS, U_FIELDS, U_TEXTS = range(11)
SIGNAL, OWN_LIST, U_NOTED = 12, 13, 14  # which one is walked; the number of the list of a row's own attributes; names noted in a row
# the value that was read last; where each part begins, and how much it holds; three words of scratch.
V_KIND, V_START, V_LENGTH, V_NUMBER = range(16, 20)
B_SLOTS, B_ENTRIES, B_COUNTS, B_ROWS, B_ITEMS, B_EVENTS, B_EVENT_ITEMS, B_LINKS, B_LINK_ITEMS, B_HARD, B_DIGITS = range(20, 31)
B_CHOSEN, B_KEYS, B_NAMES, B_COLUMNS, B_IDS, B_NOTED, B_FILLED = range(31, 38)
M_SLOTS, M_ENTRIES, M_ROWS, M_ITEMS, M_EVENTS, M_LINKS, M_HARD, M_DIGITS = range(40, 48)
SCRATCH = 48
BEFORE = 52  # the counters as they were before a record
EXPECTED = 64  # the keys that came last at each place of a list
_HEAD = 128
_PAGE = 4096
_KEPT_BYTES_MAX = 32 * MIB  # of a batch; what larger ones need is given back
_KEPT_ROWS_MAX = 128 * KIB  # likewise: 16 MiB of the smallest spans are 700,000, which touch 300 MB
# Words of one entry, row, item … and what they are. Places and numbers are -1 where there is none.
ENTRY, ROW, ITEM, EVENT, LINK, HARD, DIGITS, CHOSEN, KEYED, NAMED = 8, 21 + COLUMNS, 3, 5, 7, 5, 3, 5, 4, 8
_NO_ENTRIES = np.empty((0, ENTRY), np.int64)
E_HASH, E_KIND, E_OWNER, E_START, E_LENGTH, E_NUMBER, E_FIRST, E_LAST = range(ENTRY)  # a line of the cache, with 16 bytes of the text
R_RECORD, R_INDEX, R_RESOURCE, R_SCOPE, R_TRACE, R_SPAN, R_PARENT, R_STATE, R_NAME, R_KIND, R_CODE, R_MESSAGE = range(12)
R_START, R_END, R_FLAGS, R_DROPPED, R_EVENTS_DROPPED, R_LINKS_DROPPED, R_ITEMS, R_EVENTS, R_LINKS, R_COLUMNS = range(
    12, 22
)  # R_ITEMS to R_LINKS: where they end
# A log's row has the columns of a span's that it needs, and some under other names; its body is an item in the list of events'.
R_SEVERITY, R_SEVERITY_TEXT, R_EVENT_NAME, R_TIME, R_OBSERVED = R_KIND, R_STATE, R_NAME, R_START, R_END
BODIES, U_BODIES, B_BODIES = 1, U_EVENT_ITEMS, B_EVENT_ITEMS
I_KEY, I_LOW, I_HIGH = range(ITEM)  # an item's key, below 0 where its value is null; Arrow's view of its value
S_TIME, S_NAME, S_NAME_LENGTH, S_DROPPED, S_ITEMS = range(EVENT)
L_TRACE, L_SPAN, L_STATE, L_STATE_LENGTH, L_FLAGS, L_DROPPED, L_ITEMS = range(LINK)
H_LIST, H_ITEM, H_RECORD, H_START, H_LENGTH = range(HARD)  # values that are no plain text or integer: Python spells them
C_KIND, C_START, C_LENGTH, C_NUMBER, C_ITEM = range(CHOSEN)  # in `chosen`
K_START, K_LENGTH, K_NAME, K_LIST = range(KEYED)  # of a key: where it lies, which name it is, the list it was last in
N_LENGTH, N_COLUMN, N_TEXT = range(3)  # of a name; its bytes follow, eight a word
KEYS_MAX = 1 << 16
IDS = 8  # words of digits of a span's ids: of its trace, its own, its parent's
TRACE_ID, SPAN_ID, PARENT_ID = (0, 4), (4, 2), (6, 2)  # the first word, and how many
NULL_KEY = -(1 << 40)


@dataclass(slots=True)
class Scratch:
    """One walk's memory, for the next: fresh pages cost as much as a third of the walk. Not shared between threads."""

    memory: "Memory | None" = None

    def take(self, size: int, texts: int) -> "Memory":
        """Empty memory for a batch of `size` bytes and that many texts."""
        held = self.memory
        if held is not None and held.count(U_ROWS) > _KEPT_ROWS_MAX:
            held = None
        if held is None or held.size < size or held.count(M_ENTRIES) < texts:
            held = Memory.of(max(size, held.size if held else 0), texts)
            self.memory = held if held.size <= _KEPT_BYTES_MAX else None
        held.clear()
        return held


@dataclass(frozen=True, slots=True)
class Memory:
    """words: the array, as kernels take it; size: of the largest batch that it is for. The methods show parts of it, as far as they are filled."""

    words: Ints
    size: int

    @classmethod
    def of(cls, size: int, texts: int) -> "Memory":
        """For batches of `size` bytes, and that many texts; clear() it before each. Pages that are not written to cost nothing."""
        slots = 2 << (max(texts, 512) - 1).bit_length()
        rows, items, few = size // 24 + 16, size // 5 + 16, size // 8 + 16
        sizes = [slots, slots // 2 * ENTRY, KINDS, rows * ROW, items * ITEM, few * EVENT, items * ITEM, few * LINK, items * ITEM, few * HARD, few * DIGITS]
        sizes += [NAMES * CHOSEN, KEYS_MAX * KEYED, NAMES * NAMED, COLUMNS, rows * IDS, NAMES, COLUMNS]
        begins = np.cumsum([_HEAD, *sizes])
        # Not np.empty, which asks for pages of 2 MiB throughout: each of the columns would touch one, and fill a tenth of it.
        pages = mmap(-1, 8 * int(begins[-1]), flags=MAP_PRIVATE | MAP_ANONYMOUS)
        with suppress(OSError):  # texts are looked up here and there: in small pages half of the looks would cost a walk through the page table
            pages.madvise(MADV_HUGEPAGE, 0, 8 * int(begins[2]) // _PAGE * _PAGE)
        words = np.frombuffer(pages, np.int64)
        words[:_HEAD] = 0
        words[B_SLOTS : B_FILLED + 1] = begins[:-1]
        words[M_SLOTS : M_DIGITS + 1] = slots, slots // 2, rows, items, few, few, few, few
        words[words[B_COLUMNS] : words[B_IDS]] = [attribute.type == STRING for attribute in SPAN]
        for number, (column, name) in enumerate(_NAMES):
            begin = words[B_NAMES] + number * NAMED
            words[begin : begin + N_TEXT] = len(name), column
            words[begin + N_TEXT : begin + NAMED] = np.frombuffer(name.ljust(8 * (NAMED - N_TEXT), b"\0"), "<i8")
        return cls(words, size)

    def clear(self) -> None:
        words = self.words
        words[:B_SLOTS] = 0
        words[EXPECTED:_HEAD] = -1
        words[words[B_SLOTS] : words[B_ENTRIES]] = -1
        words[words[B_COUNTS] : words[B_COUNTS] + KINDS] = 0
        words[words[B_FILLED] : words[B_FILLED] + COLUMNS] = 0

    def _part(self, begin: int, count: int, width: int) -> npt.NDArray[np.int64]:
        start = int(self.words[begin])
        part: Ints = self.words[start : start + count * width].reshape(count, width)
        return part

    def count(self, counter: int) -> int:
        return int(self.words[counter])

    @property
    def rows(self) -> Ints:
        """[ROW, rows]: a column after the other, so that each is an array."""
        start, room = int(self.words[B_ROWS]), int(self.words[M_ROWS])
        columns: Ints = self.words[start : start + ROW * room].reshape(ROW, room)
        return columns[:, : self.count(U_ROWS)]

    @property
    def filled(self) -> npt.NDArray[np.bool_]:
        """Which promoted columns have a value in any row: in the others nothing was ever written."""
        start = int(self.words[B_FILLED])
        found: npt.NDArray[np.bool_] = self.words[start : start + COLUMNS] != 0
        return found

    @property
    def ids(self) -> npt.NDArray[np.uint64]:
        return self._part(B_IDS, self.count(U_ROWS), IDS).reshape(-1).view(np.uint64)

    @property
    def hard(self) -> Ints:
        return self._part(B_HARD, self.count(U_HARD), HARD)

    @property
    def digits(self) -> npt.NDArray[np.uint8]:
        return self._part(B_DIGITS, self.count(U_DIGITS), DIGITS).reshape(-1).view(np.uint8)

    @property
    def events(self) -> Ints:
        return self._part(B_EVENTS, self.count(U_EVENTS), EVENT)

    @property
    def links(self) -> Ints:
        return self._part(B_LINKS, self.count(U_LINKS), LINK)

    def items(self, which: int) -> Ints:
        """0: of spans or logs, 1: of events, or the bodies of logs, 2: of links."""
        begin, counter = ((B_ITEMS, U_ITEMS), (B_EVENT_ITEMS, U_EVENT_ITEMS), (B_LINK_ITEMS, U_LINK_ITEMS))[which]
        return self._part(begin, self.count(counter), ITEM)

    def texts(self, kind: int) -> Ints:
        """The entries of a kind, by number."""
        if not self.words[self.words[B_COUNTS] + kind]:
            return _NO_ENTRIES
        entries = self._part(B_ENTRIES, self.count(U_TEXTS), ENTRY)
        of_kind: Ints = entries[entries[:, E_KIND] == kind]
        return of_kind


assert max(len(name) for _, name in _NAMES) <= 8 * (NAMED - N_TEXT)
