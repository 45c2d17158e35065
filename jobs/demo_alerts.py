"""The demo's detect: the starter rules as they ship, over what the demo's ingest measures.

In: the demo's settings, the embedded broker. Out: every transition, in the order of its window. Never: a rule or a parameter of the demo's own.
"""

import json
import threading
from typing import Any

from tracebraid.pipeline.detection import Detection, run_detect
from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.errors import TracebraidError
from tracebraid.pipeline.kernel.metrics import DetectMetrics
from tracebraid.pipeline.kernel.settings import Settings
from tracebraid.pipeline.source.compacted import CompactedTopic

WAIT_S = 60.0


class Alerts:
    """detect on a thread, from now until `told()` or `end()`."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self.settings, self.clock = settings, clock
        self._stop, self._all_there, self._aimed = threading.Event(), threading.Event(), False
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="detect", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            run_detect(self.settings, stop=self._stop, metrics=DetectMetrics(), clock=self.clock, watch=self._watch)
        except BaseException as error:
            self._failure = error

    def _watch(self, detection: Detection) -> None:
        if self._all_there.is_set() and detection.shards:
            if not self._aimed:
                detection.source.aim()
                self._aimed = True
            elif detection.source.drained():
                self._stop.set()

    def told(self) -> list[dict[str, Any]]:
        """What was published, once all that ingest has measured is evaluated. Raises what ended detect early."""
        self._all_there.set()
        self._thread.join(WAIT_S)
        if self._failure:
            raise self._failure
        if self._thread.is_alive():
            raise TracebraidError("the demo's rules are not evaluated", "Please report it")
        topic = CompactedTopic(self.settings.client_config(), self.settings.stream.alerts_topic, self.clock)
        try:
            found = [json.loads(change.value) for change in topic.read() if change.value is not None]
        finally:
            topic.close()
        return sorted(found, key=lambda each: (each["window"]["end_us"], each["rule"], sorted(each["series"].items())))

    def end(self) -> None:
        self._stop.set()
        self._thread.join(WAIT_S)
