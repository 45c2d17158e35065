"""A transition as it is told: the shape that is published; and what must be told where what was told is not the case.

In: detect's Transition; what the state topic says of a shard, what the engine holds of it. Out: schemas.alert.Transition. Never: anything that is not in the
transition, or was not told before.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from typing import cast

from tracebraid.pipeline.detect import transitions
from tracebraid.pipeline.detect.lifecycle import REASONS, RULE_CHANGED, RULE_REMOVED
from tracebraid.schemas import alert

Key = tuple[str, tuple[tuple[str, str], ...]]  # rule, series
STATE_LOST = "state lost"  # the rule is the same, and what it held of the series is gone


def iso(us: int) -> str:
    """Microseconds since 1970 as ISO 8601, UTC."""
    return datetime.fromtimestamp(us // 1_000_000, UTC).replace(microsecond=us % 1_000_000).isoformat().replace("+00:00", "Z")


def told(found: transitions.Transition) -> alert.Transition:
    start_us = found.end_us - found.window_us
    band = alert.Band(low=found.band[0], high=found.band[1], reason=found.band_reason) if found.band else None
    slow = [alert.Exemplar(trace_id=trace_id, value=value) for trace_id, value in found.slowest]
    failing = [alert.Exemplar(trace_id=trace_id, value=value, failing=True) for trace_id, value in found.failing]
    return alert.Transition(
        id=found.id,
        rule=found.rule.name,
        rule_version=found.rule.content_hash,
        severity=found.rule.severity,
        labels=dict(found.rule.labels),
        annotations=dict(found.rule.annotations),
        series=found.series,
        signal=found.rule.on,
        transition=cast(alert.Change, found.transition),
        reason=found.reason,
        started_us=found.started_us,
        window=alert.Window(start=iso(start_us), end=iso(found.end_us), start_us=start_us, end_us=found.end_us),
        value=found.value,
        unit=found.unit,
        threshold=found.threshold,
        band=band,
        comparisons=[
            alert.Comparison(
                text=each.text,
                unit=each.unit,
                value=each.value,
                threshold=each.threshold,
                holds=each.truth,
                band=alert.Band(low=each.band[0], high=each.band[1]) if each.band else None,
            )
            for each in found.comparisons
        ],
        completeness=found.completeness,
        width_us=found.window_us,
        exemplars=slow + failing,
        format=found.rule.format,
    )


def key_of(alert: alert.Transition) -> Key:
    return alert.rule, tuple(sorted(alert.series.items()))


def corrections(
    state: Iterable[alert.Transition],
    active: Mapping[Key, Collection[str]],
    dropped: Mapping[Key, alert.Transition],
    spoken: Collection[Key],
    versions: Mapping[str, Collection[str]],
) -> list[alert.Transition]:
    """What makes the state topic say what is: ends of alerts that nobody holds any more, beginnings that a replay kept to itself.

    So it comes when detect was killed and the rules were changed before its next start, or when its snapshot could not be used: else such an alert would fire
    for ever, or be resolved without ever having fired.

    state: what the topic says of each rule and series. active: ids of what is pending or fires. dropped: the last of each that a replay made. spoken: of which
    something was told since: that holds. versions: of the rules in force, by name.
    """
    told = {key_of(each): each for each in state}
    found = []
    for key, each in told.items():
        if each.transition in ("pending", "firing") and key not in spoken and each.id not in active.get(key, ()):
            known = versions.get(each.rule)
            reason = STATE_LOST if known and each.rule_version in known else REASONS[RULE_CHANGED if known else RULE_REMOVED]
            ended: dict[str, object] = {"transition": "resolved" if each.transition == "firing" else "cancelled", "reason": reason, "exemplars": []}
            found.append(each.model_copy(update=ended))
    for key, each in dropped.items():
        if key not in spoken and each.id in active.get(key, ()):
            last = told.get(key)
            if last is None or (last.id, last.transition) != (each.id, each.transition):
                found.append(each)
    return found
