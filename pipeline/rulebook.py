"""The rules in force: the starter set, files, and over them the topic `tracebraid.rules`, which may change at any time.

In: settings, the topic. Out: programs, measures, changes with the window they hold from; acknowledgements. Never: a rule that cannot be read in place of
one that can: the old one goes on, and the acknowledgement says why.
"""

import glob
import os
import socket
from collections.abc import Sequence
from pathlib import Path

import orjson
import structlog

from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.errors import TracebraidError, UsageError
from tracebraid.pipeline.kernel.settings import RulesSettings, Settings
from tracebraid.pipeline.publish.producer import Message, Publisher
from tracebraid.pipeline.rules.compile import compile_rule
from tracebraid.pipeline.rules.errors import RuleError
from tracebraid.pipeline.rules.load import load_rules, starter_text
from tracebraid.pipeline.rules.measures import Measure, merge_measures
from tracebraid.pipeline.rules.program import Program
from tracebraid.pipeline.rules.standing import STANDING
from tracebraid.pipeline.rules.wire import RuleMessage, boundary_us, decode
from tracebraid.pipeline.source.compacted import Change, CompactedTopic
from tracebraid.schemas.rule import Rule

log = structlog.get_logger()
POLL_S = 0.5
_AHEAD_US = limits.plausible_ahead_s * 1_000_000
KEPT_S = 3600.0  # what a rule measured that was replaced or removed goes on being measured so long: its last windows close late where a source lags


def rules_of(settings: RulesSettings) -> list[Rule]:
    """The starter set and the files; a rule of a file replaces the starter rule of its name. Raises RuleError, UsageError for a file that is not there."""
    found = {rule.name: rule for rule in load_rules(starter_text(), "starter.yaml")} if settings.starter else {}
    named: dict[str, str] = {}
    for pattern in settings.files:
        paths = sorted(glob.glob(pattern)) if glob.has_magic(pattern) else [pattern]
        for path in paths:
            try:
                text = Path(path).read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise UsageError(f"cannot read the rules in {path}: {error}", "Correct rules.files in the settings") from None
            for rule in load_rules(text, path):
                if rule.name in named:
                    raise UsageError(f"rule {rule.name} is in {named[rule.name]} and in {path}", "Give one of them another name")
                named[rule.name], found[rule.name] = path, rule
    return list(found.values())


class RuleBook:
    """One process's view. `who`: how it signs its acknowledgements, e.g. 'ingest'. Without `topic`, rules are as they are at the start."""

    def __init__(self, settings: Settings, clock: Clock, who: str, *, topic: bool = True) -> None:
        self.settings, self.clock = settings, clock
        self.who = f"{who}/{socket.gethostname()}/{os.getpid()}"
        self.base = {rule.name: compile_rule(rule) for rule in rules_of(settings.rules)}
        self.programs: dict[str, Program] = dict(self.base)
        self.since_us: dict[str, int] = {}  # by name, the window boundary from which a rule holds; what is not there always did
        self._replaced: list[tuple[float, Program]] = []
        self._changes: list[tuple[list[Program], int]] = []
        self._topic: CompactedTopic | None = None
        self._publisher: Publisher | None = None
        self._next_s = clock.monotonic_s()
        if topic:
            self._topic = CompactedTopic(settings.client_config(), settings.stream.rules_topic, clock)
            self._take(self._topic.read())
            self._changes.clear()

    def poll(self) -> bool:
        """Whether rules changed since the last call. Cheap; looks at the topic twice a second."""
        if self._topic is None or self.clock.monotonic_s() < self._next_s:
            return False
        self._next_s = self.clock.monotonic_s() + POLL_S
        self._take(self._topic.poll())
        return bool(self._changes)

    def changes(self) -> list[tuple[list[Program], int]]:
        """All programs in force, and the window boundary (microseconds of event time) from which: once for each change since the last call."""
        found, self._changes = self._changes, []
        return found

    def measures(self) -> list[Measure]:
        """What is to be measured: for the rules, for those that were replaced of late, and what is measured without any rule."""
        self._replaced = [each for each in self._replaced if self.clock.monotonic_s() - each[0] < KEPT_S]
        programs = [*self.programs.values(), *(program for _, program in self._replaced)]
        return merge_measures([*STANDING, *(measure for program in programs for measure in program.measures)])

    def _take(self, came: Sequence[Change]) -> None:
        for change in came:
            try:
                self.take(change)
                self._acknowledge(change, "")
            except RuleError as error:
                log.error("a rule on the topic is refused; what was in force goes on", rule=change.key.decode(errors="replace"), why=str(error))
                self._acknowledge(change, str(error))

    def take(self, change: Change) -> None:
        """One message of the topic. Raises RuleError, and nothing has changed, where it holds no rule."""
        message = decode(change.key, change.value)
        old = self.programs.get(message.name)
        new = compile_rule(message.rule) if message.rule else self.base.get(message.name)
        if new is None:
            self.programs.pop(message.name, None)
        else:
            self.programs[message.name] = new
        if old is not None and (new is None or new.rule.content_hash != old.rule.content_hash):
            self._replaced.append((self.clock.monotonic_s(), old))
        since_us = self._since_us(message, change, old or new)
        if new is None:
            self.since_us.pop(message.name, None)
        elif old is None or new.rule.content_hash != old.rule.content_hash:
            self.since_us[message.name] = since_us
        self._changes.append((list(self.programs.values()), since_us))

    def _since_us(self, message: RuleMessage, change: Change, known: Program | None) -> int:
        """From when a message holds. What it says lies in the future is of a wrong clock, and holds at once: nobody would ever see that it does not."""
        now_us = self.clock.unix_micro()
        told_us = change.time_ms * 1000 if change.time_ms * 1000 <= now_us + _AHEAD_US else now_us
        if message.rule is None:
            return boundary_us(told_us, known.rule.every_us) if known is not None else 0
        latest_us = boundary_us(now_us + _AHEAD_US, message.rule.every_us)
        return message.effective_from_us if message.effective_from_us <= latest_us else boundary_us(now_us, message.rule.every_us)

    def _acknowledge(self, change: Change, error: str) -> None:
        """Whoever applied the rule waits for this; that it cannot be sent harms nobody else."""
        name = change.key.decode(errors="replace")
        value = orjson.dumps({"version": 1, "rule": name, "offset": change.offset, "partition": change.partition, "who": self.who, "error": error})
        try:
            self._publisher = self._publisher or Publisher.plain(self.settings.client_config(), self.clock)
            self._publisher.send(Message(self.settings.stream.rules_acks_topic, value, f"{self.who}/{name}".encode()))
            self._publisher.flush(self.settings.stream.rules_acks_topic)
        except TracebraidError as failure:
            log.warning("an acknowledgement was not sent", rule=name, why=str(failure))

    def close(self) -> None:
        for each in (self._topic, self._publisher):
            if each is not None:
                each.close()
