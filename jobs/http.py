"""What a process says of itself over HTTP: /metrics, /healthz, /readyz.

In: metrics, and the questions whether it is ready and alive. Out: a server on a daemon thread. Never: anything that a stranger could change.
"""

import threading
from collections.abc import Callable, Iterable
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import make_wsgi_app

from tracebraid.pipeline.kernel.errors import TracebraidError
from tracebraid.pipeline.kernel.metrics import ArchiveMetrics, DetectMetrics, ExplainMetrics, Metrics, NotifyMetrics
from tracebraid.pipeline.kernel.settings import HttpSettings


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Scrapes are no news."""


def serve_http(
    http: HttpSettings,
    metrics: Metrics | DetectMetrics | ArchiveMetrics | ExplainMetrics | NotifyMetrics,
    *,
    ready: Callable[[], str],
    alive: Callable[[], str],
) -> WSGIServer | None:
    """Serve until the process ends. `ready()` and `alive()` return '' when it is so, else why not. Port 0: nothing is served."""
    if not http.port:
        return None
    metrics_app = make_wsgi_app(metrics.registry)

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = environ.get("PATH_INFO")
        if path == "/metrics":
            answer: Iterable[bytes] = metrics_app(environ, start_response)
            return answer
        why_not = alive() if path == "/healthz" else ready() if path == "/readyz" else "not found"
        status = "200 OK" if not why_not else "404 Not Found" if why_not == "not found" else "503 Service Unavailable"
        start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
        return [(why_not or "ok").encode() + b"\n"]

    try:
        server = make_server(http.host, http.port, app, handler_class=_Quiet)
    except OSError as error:
        raise TracebraidError(f"cannot serve http on {http.host}:{http.port}: {error.strerror}", "Set http.port to a free port, or to 0") from None
    threading.Thread(target=server.serve_forever, name="http", daemon=True).start()
    return server
