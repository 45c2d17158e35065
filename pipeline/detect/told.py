"""A transition as it is told: the shape that is published.

In: detect's Transition. Out: schemas.alert.Transition. Never: anything that is not in the transition.
"""

from datetime import UTC, datetime
from typing import cast

from tracebraid.pipeline.detect import transitions
from tracebraid.schemas import alert


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
    )
