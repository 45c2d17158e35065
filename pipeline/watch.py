"""What an ingest says of itself: whether it is ready and alive, how far behind it is, what has stalled.

In: an Ingest, each time its loop has turned. Out: gauges, and reasons in words. Never: a wait, or a change to what it looks at.

The reasons are asked for by another thread; what they read is replaced whole, never changed in place.
"""

from tracebraid.pipeline.flow import Ingest
from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.metrics import Metrics
from tracebraid.pipeline.kernel.records import Partition
from tracebraid.pipeline.source.stall import StallDetector, held

LOOK_S = 1.0  # how often it is looked at
SLOW_S = 60.0  # a loop that has not turned for so long is not ready, nor one that no broker has answered
DEAD_S = 300.0  # and after this it is not alive: Kafka has taken its partitions away by then (max.poll.interval.ms)
FLUSH_AGES = 3  # so many times ingest.flush_age_s without a commit, while records wait, is not ready
Labels = tuple[str, str]


class Watch:
    """Gauges and reasons for one Ingest. `lag`: offsets behind, by partition, as it was looked at last."""

    def __init__(self, metrics: Metrics, clock: Clock) -> None:
        self.metrics, self.clock = metrics, clock
        self.ingest: Ingest | None = None
        self.lag: dict[Partition, int] = {}
        self.stalled: set[Partition] = set()
        self.held: dict[Partition, int] = {}  # offsets that an open transaction holds back, and has for long
        self._detector = StallDetector(limits.stall_s, 10 * LOOK_S)
        self._transactions = StallDetector(limits.stall_s, 10 * LOOK_S, held)
        self._turned_s = clock.monotonic_s()
        self._looked_s = float("-inf")
        self._waiting: tuple[int, float] | None = None  # cycles committed when records began to wait, and since when
        self._shown: set[Labels] = set()
        self._unanswered_s = 0.0
        metrics.loop_age.set_function(self.loop_age_s)
        metrics.uncommitted.set_function(self.uncommitted_s)

    def turned(self, ingest: Ingest) -> bool:
        """The loop has turned; whether it was looked at closely this time."""
        now_s = self.clock.monotonic_s()
        self.ingest, self._turned_s = ingest, now_s
        self._look_at_commits(ingest, now_s)
        if now_s - self._looked_s < LOOK_S:
            return False
        self._looked_s = now_s
        seen = ingest.source.seen()
        stalled = self._detector.look(now_s, seen)
        self.held = {each: seen[each].held_back for each in self._transactions.look(now_s, seen)}
        # While fetching has stopped, so has the end that it tells; the one asked for counts where it is further on.
        self.lag = {each: max(offsets, seen[each].beyond, self.held.get(each, 0)) for each, offsets in ingest.source.lag().items()}
        self.stalled = stalled
        self._unanswered_s = ingest.source.unanswered_s()
        self._show()
        return True

    def loop_age_s(self) -> float:
        return self.clock.monotonic_s() - self._turned_s

    def uncommitted_s(self) -> float:
        """How long records have waited for a commit; 0 where none do."""
        return self.clock.monotonic_s() - self._waiting[1] if self._waiting else 0.0

    def why_not_alive(self) -> str:
        """'' while the loop turns."""
        age_s = self.loop_age_s()
        return f"the loop has not turned for {age_s:.0f} s" if age_s >= DEAD_S else ""

    def why_not_ready(self) -> str:
        """'' when ready: the group has let us in, the loop turns, the lake takes what is read, and nothing has stalled."""
        if self.ingest is None or not self.ingest.source.joined:
            return "starting: no partitions are assigned yet"
        reasons = (
            (self.loop_age_s() >= SLOW_S, f"the loop has not turned for {self.loop_age_s():.0f} s"),
            (self.ingest.blocked, self.ingest.blocked),
            (self._unanswered_s >= SLOW_S, f"no broker has answered for {self._unanswered_s:.0f} s"),
            (
                self.uncommitted_s() >= FLUSH_AGES * self.ingest.settings.ingest.flush_age_s,
                f"records have waited {self.uncommitted_s():.0f} s for a commit",
            ),
            (self.stalled, f"no record comes although some wait: {', '.join(sorted(map(str, self.stalled)))}"),
            (self.held, f"held by an open transaction: {', '.join(sorted(map(str, self.held)))}"),
        )
        return next((why for true, why in reasons if true), "")

    def _look_at_commits(self, ingest: Ingest, now_s: float) -> None:
        flow = ingest.flow
        if flow.closed is None and not flow.cycle.records:
            self._waiting = None
        elif self._waiting is None or self._waiting[0] != flow.totals.cycles:
            self._waiting = (flow.totals.cycles, now_s)

    def _show(self) -> None:
        metrics, now_ms = self.metrics, self.clock.unix_nano() // 1_000_000
        metrics.broker_age.set(self._unanswered_s)
        if self.ingest is not None and (stream := self.ingest.flow.stream) is not None:
            metrics.count_measured(stream.windows.overflowed, stream.windows.cut, stream.windows.failed)
        shown: set[Labels] = set()
        for partition, offsets in self.lag.items():
            labels = (partition.topic, str(partition.number))
            shown.add(labels)
            metrics.lag.labels(*labels).set(offsets)
            metrics.stalled.labels(*labels).set(partition in self.stalled)
            metrics.held.labels(*labels).set(self.held.get(partition, 0))
            metrics.lag_seconds.labels(*labels).set(max(0, now_ms - metrics.read_ms.get(labels, now_ms)) / 1000 if offsets else 0)
        for labels in self._shown - shown:  # another consumer tells of them now
            for gauge in (metrics.lag, metrics.stalled, metrics.held, metrics.lag_seconds):
                gauge.remove(*labels)
        self._shown = shown
