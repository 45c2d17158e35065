"""A small Schema Registry, as far as registering goes: versions by subject, ids by schema, Basic and Bearer authentication, errors as Confluent's."""

import base64
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jsonschema

from tests.notifying import serving

MEDIA = "application/vnd.schemaregistry.v1+json"
VERSIONS = re.compile(r"/ccompat/subjects/([^/?]+)/versions")


@dataclass
class Registry:
    """failing: answers before it works, statuses. closed: subjects that take no further version. user, token: who may write; '' for everybody."""

    url: str
    failing: list[int] = field(default_factory=list)
    closed: set[str] = field(default_factory=set)
    user: str = ""
    token: str = ""
    schemas: dict[int, Any] = field(default_factory=dict)  # what GET answers, by id
    subjects: dict[str, list[str]] = field(default_factory=dict)
    asked: list[tuple[str, int]] = field(default_factory=list)  # path, status

    def post(self, path: str, headers: dict[str, str], body: bytes) -> tuple[int, Any]:
        if self.failing:
            status = self.failing.pop(0)
            return status, {"error_code": status * 100 + 1, "message": "Error in the backend datastore"}
        allowed = (
            {f"Basic {base64.b64encode(self.user.encode()).decode()}", f"Bearer {self.token}"} if self.user or self.token else {headers.get("Authorization")}
        )
        if headers.get("Authorization") not in allowed:
            return 401, {"error_code": 401, "message": "Unauthorized"}
        if not (named := VERSIONS.fullmatch(path)):
            return 404, {"error_code": 404, "message": "HTTP 404 Not Found"}
        asked, held = json.loads(body), self.subjects.setdefault(named[1], [])
        assert (headers["Content-Type"], asked.keys(), asked["schemaType"]) == (MEDIA, {"schemaType", "schema"}, "JSON")
        jsonschema.Draft7Validator.check_schema(json.loads(asked["schema"]))
        if asked["schema"] not in held:
            if named[1] in self.closed:
                return 409, {"error_code": 409, "message": f'Schema being registered is incompatible with an earlier schema for subject "{named[1]}"'}
            held.append(asked["schema"])
        return 200, {"id": len({schema for each in self.subjects.values() for schema in each})}

    def get(self, path: str) -> tuple[int, Any]:
        if self.failing:
            return self.failing.pop(0), {}
        named = re.fullmatch(r"/ccompat/schemas/ids/(\d+)", path)
        held = self.schemas.get(int(named[1])) if named else None
        return (404, {"error_code": 40403, "message": "Schema not found"}) if held is None else (200, held)


@contextmanager
def registry(**fields: Any) -> Iterator[Registry]:
    """On 127.0.0.1, below the path /ccompat."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.answer(*answering.post(self.path, dict(self.headers), body))

        def do_GET(self) -> None:
            self.answer(*answering.get(self.path))

        def answer(self, status: int, answer: Any) -> None:
            answering.asked.append((self.path, status))
            said = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", MEDIA)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, format: str, *args: Any) -> None:
            """Requests are no news."""

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listening.daemon_threads = True
    answering = Registry(f"http://127.0.0.1:{listening.server_port}/ccompat", **fields)
    with serving(listening):
        yield answering
