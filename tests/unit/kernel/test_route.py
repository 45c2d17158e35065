"""Routes: patterns in place of paths with ids in them."""

import pyarrow as pa
import pytest

from tests.measures import batch_of
from tracebraid.pipeline.kernel.route import CHARS_MAX, collapse, routes
from tracebraid.schemas.spans import SPANS


@pytest.mark.parametrize(
    ("path", "pattern"),
    [
        ("/orders/8123", "/orders/{id}"),
        ("/v2/users/42/items/7?x=1#top", "/v2/users/{id}/items/{id}"),
        ("/a/550e8400-e29b-41d4-a716-446655440000/b", "/a/{id}/b"),
        ("/sessions/deadbeefdeadbeef01", "/sessions/{id}"),
        ("/1/2/3/4", "/{id}/{id}/{id}/{id}"),
        ("/products/sku-1234", "/products/sku-{id}"),
        ("/f/abc123def456abc123def456abc123def456zz/x", "/f/{id}/x"),
        ("/api/v1/health", "/api/v1/health"),
        ("/img/logo.png", "/img/logo.png"),
        ("GET /orders/8123", "GET /orders/{id}"),
        ("SELECT shop.orders", "SELECT shop.orders"),
        ("", ""),
        ("/" + "x" * 5000, "/" + "x" * (CHARS_MAX - 1)),
    ],
)
def test_ids_in_paths_are_collapsed(path: str, pattern: str) -> None:
    assert collapse(pa.array([path, None, path])).to_pylist() == [pattern, None, pattern]


def test_the_route_is_the_best_name_of_the_operation() -> None:
    rows = [
        {"http_route": "/orders/:id", "url_path": "/orders/1", "name": "GET"},
        {"url_path": "/orders/1", "name": "GET"},
        {"rpc_service": "shop.Cart", "rpc_method": "Add", "name": "x"},
        {"rpc_service": "shop.Cart", "name": "job 17"},
        {},
    ]
    assert routes(batch_of(SPANS, rows)).to_pylist() == ["/orders/:id", "/orders/{id}", "shop.Cart/Add", "job {id}", ""]
