"""What explain asks of the lake."""

from pathlib import Path

from tests.unit.query.build import NOON_NS, span, write
from tracebraid.pipeline.query.evidence import requests_of, sample
from tracebraid.pipeline.query.snapshot import take
from tracebraid.schemas.spans import SPANS

START_US, END_US = NOON_NS // 1000, NOON_NS // 1000 + 60_000_000


def sampled(lake: Path, **series: str) -> set[str]:
    return {each.lstrip("0") for each in sample(take(str(lake)), series, START_US, END_US)}


def test_a_sample_is_of_the_series_route_and_not_of_calls_made_for_another(tmp_path: Path) -> None:
    orders = [span("a", "1", http_route="/orders"), span("b", "1", http_route="/orders", at_ms=70_000)]
    carts = [span("c", "1", http_route="/cart"), span("c", "2", "1", kind="CLIENT"), span("d", "1", service_name="other", http_route="/orders")]
    named = [span("e", "1", service_name="named", name="GET /orders"), span("f", "1", service_name="named", name="GET /orders", at_ms=-5000)]
    write(tmp_path, SPANS, orders, carts, named)
    assert sampled(tmp_path, service_name="shop", route="/orders") == {"a"}
    assert sampled(tmp_path, service_name="shop") == {"a", "c"}
    assert sampled(tmp_path, service_name="named", route="GET /orders") == {"e"}
    assert sampled(tmp_path, route="/orders") == {"a", "d"}
    assert sampled(tmp_path, device="7") == set()


def test_requests_are_counted_by_service_now_and_before(tmp_path: Path) -> None:
    now = [span("a", "1"), span("b", "1"), span("b", "2", "1", kind="CLIENT"), span("c", "1", service_name="cart"), span("d", "1", at_ms=70_000)]
    before = [span(str(number), "1", at_ms=-1000 - number, trace_id=None) for number in range(3)]
    write(tmp_path, SPANS, now, [*before, span("e", "1", at_ms=-20_000), span("f", "1", service_name="ads")])
    found = requests_of(take(str(tmp_path)), ["shop", "cart", "nobody"], START_US - 10_000_000, START_US, END_US)
    assert found == {"shop": (2, 3), "cart": (1, 0)}
    assert requests_of(take(str(tmp_path)), [], START_US, START_US, END_US) == {}
