"""/metrics, /healthz and /readyz, asked over HTTP."""

from ipaddress import ip_address
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from tests.brokers.kafka import free_ports
from tracebraid.jobs.http import serve_http
from tracebraid.pipeline.kernel.errors import TracebraidError
from tracebraid.pipeline.kernel.metrics import Metrics
from tracebraid.pipeline.kernel.settings import HttpSettings


def asked(port: int, path: str) -> tuple[int, str]:
    try:
        with urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as response:
            return response.status, response.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_ready_and_alive_are_two_questions() -> None:
    http, metrics = HttpSettings(host="127.0.0.1", port=free_ports(1)[0]), Metrics()
    why = {"ready": "starting", "alive": ""}
    server = serve_http(http, metrics, ready=lambda: why["ready"], alive=lambda: why["alive"])
    assert server is not None
    assert [asked(http.port, path) for path in ("/healthz", "/readyz", "/else")] == [(200, "ok\n"), (503, "starting\n"), (404, "not found\n")]
    why.update(ready="", alive="it hangs")
    assert [asked(http.port, path) for path in ("/healthz", "/readyz")] == [(503, "it hangs\n"), (200, "ok\n")]
    metrics.rows.labels("logs", "spans").inc(3)
    status, text = asked(http.port, "/metrics")
    assert status == 200
    assert 'tracebraid_rows_total{topic="logs",verdict="spans"} 3.0' in text
    assert "process_resident_memory_bytes " in text
    server.shutdown()
    server.server_close()


def test_a_port_that_is_taken_is_one_line_and_port_0_is_no_server() -> None:
    http = HttpSettings(host="127.0.0.1", port=free_ports(1)[0])
    server = serve_http(http, Metrics(), ready=str, alive=str)
    assert server is not None
    with pytest.raises(TracebraidError, match=rf"cannot serve http on 127.0.0.1:{http.port}"):
        serve_http(http, Metrics(), ready=str, alive=str)
    server.shutdown()
    server.server_close()
    assert serve_http(HttpSettings(port=0), Metrics(), ready=str, alive=str) is None


def test_without_a_host_it_listens_on_every_address() -> None:
    http = HttpSettings(port=free_ports(1)[0])
    server = serve_http(http, Metrics(), ready=str, alive=str)
    assert server is not None
    assert server.server_address[0] == str(ip_address(0))
    assert asked(http.port, "/healthz") == (200, "ok\n")
    server.shutdown()
    server.server_close()
