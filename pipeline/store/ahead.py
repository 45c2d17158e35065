"""A closed cycle's rows, encoded aside while its owner reads and publishes on.

In: a cycle that no commit has been given yet. Out: the same cycle, with the files that are to be of each table on their way. Never: a file written, a ledger
looked at: encoding is a function of the rows alone, so that when it is done changes nothing but the time.
"""

from concurrent.futures import Executor

from tracebraid.pipeline.store.ledger import Cycle
from tracebraid.pipeline.store.parquet import encode_rows
from tracebraid.schemas.logs import LOGS
from tracebraid.schemas.rejects import REJECTS
from tracebraid.schemas.spans import SPANS


def encode_ahead(cycle: Cycle, aside: Executor) -> None:
    """Begin it. `Lake.commit` takes what is done, and waits for the rest; cycle.is_encoded() tells whether it would. Each table once, however often the storage
    fails and the cycle is given again."""
    for table, batches in ((LOGS, cycle.logs), (SPANS, cycle.spans), (REJECTS, cycle.rejects)):
        if batches:
            cycle.ahead[table.name] = aside.submit(encode_rows, table, batches)
