"""Requests that go missing, in hand-made fleets with a known place where they were lost: gateway → cart → db, the gateway also calling ads."""

from tests.unit.explain.test_fault import alert, many, shop, span
from tracebraid.pipeline.explain.evidence import Found, evidence
from tracebraid.pipeline.explain.fewer import Rows, first_fallen, is_about_fewer, upstream
from tracebraid.schemas.alert import Comparison, Transition

SILENT = "count() < baseline(count(), sensitivity: 4.0, floor: 20)"
BEFORE = many(5, "b")


def about(*texts: str, **series: str) -> Transition:
    compared = [Comparison(text=each, unit="", value=1.0, threshold=2.0, holds=True) for each in texts]
    return alert().model_copy(update={"comparisons": compared, "series": series or {"service_name": "db"}})


def lost(**now: float) -> str:
    """The service named for db, where each had a hundred requests before and has so many now."""
    found = Found(before=BEFORE, rows={service: Rows(count, 100.0) for service, count in now.items()})
    return evidence(about(SILENT), found).service


def test_what_an_alert_is_about() -> None:
    assert is_about_fewer(about(SILENT))
    assert is_about_fewer(about("rate(status_code = 'OK') <= 3"))
    assert not is_about_fewer(about("count() > 3"))
    assert not is_about_fewer(about(SILENT, "p99(duration) > 300ms"))
    assert not is_about_fewer(about(SILENT, route="/orders"))
    assert not is_about_fewer(about())


def test_the_services_before_one_are_those_on_the_ways_to_it() -> None:
    assert upstream(BEFORE, "db") == {"gateway": 0, "cart": 1, "db": 2}
    assert upstream([*BEFORE, span("c", "1", None, "batch", 0, 9), span("c", "2", "1", "db", 1, 5)], "db") == {"gateway": 0, "cart": 1, "db": 1, "batch": 0}
    assert upstream(BEFORE, "nobody") == {}


def test_requests_were_lost_where_the_first_on_the_way_has_lost_as_many() -> None:
    assert lost(gateway=100, cart=100, db=10, ads=100) == "db"
    assert lost(gateway=97, cart=12, db=10) == "cart"
    assert lost(gateway=10, cart=10, db=10) == "gateway"
    assert lost(gateway=70, cart=12, db=10) == "cart"  # the gateway has fewer, too, but far more than are left here
    assert lost(gateway=100, cart=5, db=30) == "cart"  # the rest of the database's come by another way
    assert lost(gateway=100, cart=1) == "db"  # nothing is known of it
    assert lost(cart=1, db=100) == "db"


def test_the_reason_has_the_numbers() -> None:
    rows = {"cart": Rows(12, 100.0), "db": Rows(10, 90.5)}
    assert first_fallen({"cart": 1, "db": 2}, rows, "db") == (
        "cart",
        "12 requests in the window, 100 by the hour before; it comes before db, and nothing before it lost as many",
    )
    assert first_fallen({"db": 2}, rows, "db") == ("db", "10 requests in the window, 90.5 by the hour before")


def test_lines_without_ids_are_their_services_own_whatever_else_is_slow() -> None:
    found = Found(exemplars=shop("w0", db_ms=400), before=many(40, "b"))
    assert evidence(about("missing_trace_id_rate > 10%", service_name="gateway"), found).service == "gateway"
    assert evidence(about("missing_trace_id_rate > 10%", "p99(duration) > 300ms", service_name="gateway"), found).service == "db"
    assert evidence(about("count() > 100", SILENT, service_name="gateway"), found).service == "db"
