"""An S3 server's worse brother: a proxy in front of a real one that forgets conditions, or loses answers.

In: an S3. Out: the same with another endpoint. Never: a request of its own.
"""

import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

from tests.brokers.s3 import S3

WAIT_S_MAX = 30
Rule = Callable[[str, str, str], bool]  # of method, path and the answer's status, or of the condition's value


def never(*_: str) -> bool:
    return False


@dataclass(slots=True)
class Proxy:
    """`s3`: the server as seen through the proxy. forgets: of which puts (method, path, condition) the condition is not heeded.
    loses: of which requests (method, path, status) the answer never comes, though the server has done its work. seen: all requests."""

    s3: S3
    forgets: Rule = never
    loses: Rule = never
    seen: list[tuple[str, str, str]] = field(default_factory=list)


@contextmanager
def in_front_of(server: S3) -> Iterator[Proxy]:
    """A proxy on a loopback port of its own, ended at the end."""
    behind = urlsplit(server.endpoint).netloc
    one_at_a_time = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # an answer in one piece: in two, each waits for the other side's delayed acknowledgment

        def forward(self) -> None:
            path = unquote(urlsplit(self.path).path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            condition = self.headers.get("If-None-Match", "")
            forgets = bool(condition) and proxy.forgets(self.command, path, condition)
            with one_at_a_time:  # so that nobody sees the moment when the object is away
                if forgets:  # the header is signed, so it cannot be taken away: what it asks for is
                    (server.directory / "data" / path.lstrip("/")).unlink(missing_ok=True)
                answer, content = self.ask(body)
            proxy.seen.append((self.command, path, str(answer.status)))
            if proxy.loses(self.command, path, str(answer.status)):
                self.close_connection = True
                return
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("connection", "transfer-encoding", "date", "server", *(["content-length"] if self.command != "HEAD" else [])):
                    self.send_header(name, value)
            if self.command != "HEAD":
                self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def ask(self, body: bytes) -> tuple[http.client.HTTPResponse, bytes]:
            connection = http.client.HTTPConnection(behind, timeout=WAIT_S_MAX)
            try:
                connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
                for name, value in self.headers.items():
                    connection.putheader(name, value)
                connection.endheaders(body)
                answer = connection.getresponse()
                return answer, answer.read()
            finally:
                connection.close()

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = forward

        def log_message(self, format: str, *arguments: object) -> None:
            """Nothing: tests read `seen`."""

    listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listener.daemon_threads = True
    proxy = Proxy(replace(server, endpoint=f"http://127.0.0.1:{listener.server_address[1]}", process=None))
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        listener.shutdown()
        listener.server_close()
        thread.join()
