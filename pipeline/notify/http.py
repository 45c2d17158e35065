"""One POST, and what its answer means: delivered, to be tried again, or never.

In: an address, a body, headers. Out: an Outcome. Never: a retry of its own, a redirect followed, more than a KiB of an answer read, a path or a header in
an error: both may hold secrets.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Protocol
from urllib.parse import urlsplit

import urllib3

from tracebraid.pipeline.kernel.channels import ChannelSettings
from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.errors import UsageError
from tracebraid.pipeline.kernel.schema_registry import SchemaRegistrySettings
from tracebraid.schemas.alert import Evidence, Transition

ANSWER_BYTES_MAX = 1024
ANSWER_CHARS_MAX = 160
AGAIN = frozenset({408, 425, 429})  # of the 4xx, those that may pass; RFC 9110 (408), RFC 8470 (425), RFC 6585 (429)


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of an attempt. `error` '': it was delivered. `retry`: whether the same may go well later. `after_s`: not before, if the server said so."""

    error: str = ""
    retry: bool = False
    after_s: float = 0.0
    reason: str = ""  # a word for metrics


@dataclass(frozen=True, slots=True)
class Notice:
    """One message of the alerts topic that is to be told. `about`: for evidence, the present transition of its alert, where known."""

    message: Transition | Evidence
    value: bytes
    about: Transition | None = None

    @property
    def what(self) -> str:
        return "evidence" if isinstance(self.message, Evidence) else self.message.transition

    @property
    def identity(self) -> str:
        """The same for the same news, however often it is read."""
        return f"{self.message.id}/{self.what}/{self.message.window.end_us}"


class Channel(Protocol):
    """What sends notices: alertmanager.Alertmanager, webhook.Webhook. `batch_max`: notices that may go together."""

    batch_max: int

    def send(self, notices: Sequence[Notice]) -> Outcome: ...


class Post:
    """A client of one channel, or of the schema registry: its connections, headers and waits. Raises UsageError where `ca_file` cannot be read."""

    def __init__(self, settings: ChannelSettings | SchemaRegistrySettings, clock: Clock) -> None:
        self.clock = clock
        headers = {name: secret.get_secret_value() for name, secret in settings.headers.items()}
        if token := settings.token.get_secret_value():
            headers["Authorization"] = f"Bearer {token}"
        self.headers = {"Content-Type": "application/json", "User-Agent": "tracebraid", **headers}
        self.timeout = urllib3.Timeout(connect=settings.timeout_s, read=settings.timeout_s)
        context = urllib3.util.create_urllib3_context()
        if settings.verify_tls:
            try:
                context.load_verify_locations(settings.ca_file) if settings.ca_file else context.load_default_certs()
            except OSError as error:  # ssl.SSLError is one
                what = f"{settings.called}: cannot read ca_file {settings.ca_file}: {error.strerror or error}"
                raise UsageError(what, "Give the path of a PEM file") from None
        else:
            context.check_hostname = False
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)  # said once, with the settings' warnings, and not at each request
        self.pool = urllib3.PoolManager(retries=False, ssl_context=context, cert_reqs="CERT_REQUIRED" if settings.verify_tls else "CERT_NONE")

    def send(self, url: str, body: bytes, headers: Mapping[str, str] | None = None) -> Outcome:
        """One attempt; takes timeout_s at most to connect, and as long to answer."""
        place = host(url)
        try:
            answer = self.pool.request(
                "POST", url, body=body, headers={**self.headers, **(headers or {})}, timeout=self.timeout, redirect=False, preload_content=False
            )
            try:
                text = answer.read(ANSWER_BYTES_MAX, decode_content=True).decode("utf-8", "replace")
            finally:
                answer.drain_conn() if answer.length_remaining is not None and answer.length_remaining <= ANSWER_BYTES_MAX else answer.close()
                answer.release_conn()
        except urllib3.exceptions.SSLError as error:
            return Outcome(f"{place}: TLS failed: {_last(error)}", retry=True, reason="tls")
        except urllib3.exceptions.NewConnectionError as error:  # a TimeoutError too, by its class
            return Outcome(f"{place} cannot be reached: {_last(error)}", retry=True, reason="connection")
        except urllib3.exceptions.TimeoutError:
            return Outcome(f"{place} did not answer in time", retry=True, reason="timeout")
        except (urllib3.exceptions.HTTPError, OSError) as error:
            return Outcome(f"{place} cannot be reached: {_last(error)}", retry=True, reason="connection")
        return self._meaning(place, answer.status, answer.headers.get("Retry-After", ""), text)

    def _meaning(self, place: str, status: int, after: str, text: str) -> Outcome:
        if 200 <= status < 300:
            return Outcome()
        retry = status in AGAIN or status >= 500
        said = f": {' '.join(text.split())[:ANSWER_CHARS_MAX]}" if text.strip() else ""
        moved = " (redirects are not followed: set url to where it points)" if 300 <= status < 400 else ""
        return Outcome(f"{place} answered {status}{moved}{said}", retry, retry_after_s(after, self.clock) if retry else 0.0, str(status))

    def close(self) -> None:
        self.pool.clear()


def retry_after_s(header: str, clock: Clock) -> float:
    """Seconds that `Retry-After` asks for, RFC 9110 10.2.3: a number of them, or a date; 0 where it is neither."""
    if header.strip().isdigit():
        return float(header[:9])
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - clock.unix_nano() / 1e9)
    except (ValueError, TypeError, OverflowError):
        return 0.0


def host(url: str) -> str:
    """The address without its path: what may be shown."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _last(error: BaseException) -> str:
    """What the innermost cause says; urllib3's own text names the path."""
    while cause := (getattr(error, "reason", None) if isinstance(getattr(error, "reason", None), BaseException) else error.__cause__):
        error = cause
    text = getattr(error, "strerror", None) or getattr(error, "verify_message", None) or str(error)
    return str(text).rpartition(">: ")[2][:ANSWER_CHARS_MAX] or type(error).__name__
