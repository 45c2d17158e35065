"""What explain asks of the lake."""

from pathlib import Path

from tests.unit.query.build import NOON_NS, span, write
from tracebraid.pipeline.query.evidence import sample
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
