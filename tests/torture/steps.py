"""The steps of the protocol at which a consumer can be hit, in their order, and what a fault there falls between.

In: nothing. Out: names. Never: a guess; the names are those that the worker's hooks pass.
"""

# Step that was passed last → its number in pipeline/flow.py, and where that is.
STEPS = {
    "ledgers read": "1     both ledgers read, before the first record",
    "start pinned": "1     the first start written down, before the first record",
    "loss written": "1     what retention took written down, before the first record",
    "polled": "2     records read, before they are decoded",
    "checked": "4.1   ownership checked, before files are written",
    "written": "4.2   files written, before the first commit",
    "fenced": "4.3   a new owner's tables fenced, before the first rows",
    "committed logs": "4.4   between logs and spans",
    "committed spans": "4.4   between spans and rejects",
    "committed rejects": "4.4   between rejects and intervals",
    "committed intervals": "4.4   after intervals, before the ledgers are remembered",
    "lake flushed": "4→5   between the lake's cycle and the stream's transaction",
    "produced": "5.2   inside the transaction, before the offsets",
    "sent offsets": "5.3   inside the transaction, before its commit",
    "stream committed": "5.4   transaction committed, before progress is remembered",
    "stream flushed": "5.4   after the stream's transaction",
    "revoking": "leave partitions are taken away, before the open cycle is finished",
    "revoked": "leave the open cycle is finished, before the partitions are given up",
    "lost": "leave partitions went to another owner already",
}
# Between two tables of one cycle.
TORN = ("committed logs", "committed spans", "committed rejects")
