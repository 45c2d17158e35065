"""What an answer means, who is sent what, and what is known of the present."""

import shutil
import subprocess
from email.utils import formatdate
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.notifying import T0_US, evidence, server, transition
from tracebraid.pipeline.kernel.channels import ChannelSettings
from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.errors import UsageError
from tracebraid.pipeline.notify.alertmanager import Alertmanager
from tracebraid.pipeline.notify.choice import Recent, why_not
from tracebraid.pipeline.notify.http import Notice, Outcome, Post, retry_after_s
from tracebraid.pipeline.notify.present import RESOLVED_KEPT_S, Present, key_of, key_of_text, read, share
from tracebraid.pipeline.notify.webhook import Webhook, signature
from tracebraid.pipeline.publish.alerts import state_key

CLOCK = Clock(unix_nano=lambda: T0_US * 1000)


def hook(url: str = "http://127.0.0.1:1/", **other: Any) -> ChannelSettings:
    return ChannelSettings(**{"name": "hook", "kind": "webhook", "url": url, **other})


def post(url: str, **other: Any) -> Outcome:
    settings = hook(url, **other)
    return Post(settings, CLOCK).send(settings.url[0], b"{}")


@pytest.mark.parametrize(("status", "retry"), [(500, True), (503, True), (429, True), (408, True), (400, False), (401, False), (404, False), (301, False)])
def test_what_passes_and_what_does_not(status: int, retry: bool) -> None:
    with server(always=status) as answering:
        found = post(answering.url)
    assert (found.retry, found.reason) == (retry, str(status))
    assert found.error.startswith(f"{answering.url} answered {status}")


def test_accepted_is_delivered() -> None:
    with server(always=202) as answering:
        assert post(answering.url) == Outcome()


def test_no_answer_and_no_server_may_pass() -> None:
    with server(always=2.0) as answering:
        late = post(answering.url, timeout_s=0.2)
    assert (late.retry, late.reason) == (True, "timeout")
    nobody = post("http://127.0.0.1:1/")
    assert (nobody.retry, nobody.reason) == (True, "connection")


def test_errors_keep_the_path_and_secrets_to_themselves() -> None:
    with server(always=302) as answering:
        found = [post(f"{url}/T00/secret?token=secret", token="bearer-secret") for url in (answering.url, "http://127.0.0.1:1", "https://127.0.0.1:1")]
    assert "redirects are not followed" in found[0].error
    assert all("secret" not in each.error for each in found)


def test_retry_after_is_seconds_or_a_date() -> None:
    now_s = T0_US / 1e6
    assert [retry_after_s(text, CLOCK) for text in ("7", formatdate(now_s + 90, usegmt=True), formatdate(now_s - 90, usegmt=True), "", "soon", "-1")] == [
        7,
        90,
        0,
        0,
        0,
        0,
    ]
    with server(always=(503, {"Retry-After": "12"})) as answering:
        assert post(answering.url).after_s == 12


def test_headers_token_and_signature_are_sent() -> None:
    with server() as answering:
        settings = hook(answering.url, token="t0ken", headers={"X-Team": "payments"}, hmac_secret="s3cret")
        alert = transition()
        notice = Notice(alert, alert.model_dump_json().encode())
        assert Webhook(settings, Post(settings, CLOCK), CLOCK).send([notice]) == Outcome()
    (request,) = answering.taken
    assert (request.headers["Authorization"], request.headers["X-Team"]) == ("Bearer t0ken", "payments")
    assert request.headers["X-Tracebraid-Signature"] == signature("s3cret", str(T0_US // 1_000_000), request.body)
    assert request.body == notice.value
    assert request.headers["Idempotency-Key"] == f"{alert.id}/firing/{alert.window.end_us}"


def test_evidence_is_an_update_of_its_alert_in_version_4() -> None:
    alert = transition()
    with server() as answering:
        settings = hook(answering.url, format="alertmanager")
        channel = Webhook(settings, Post(settings, CLOCK), CLOCK)
        channel.send([Notice(alert, b"")])
        channel.send([Notice(evidence(alert), b"", alert)])
        assert channel.send([Notice(evidence(alert), b"", None)]) == Outcome()
    first, second = (each.json for each in answering.taken)
    assert first["groupKey"] == second["groupKey"]
    assert second["alerts"][0]["annotations"]["service_at_fault"] == "payments-db"


def test_alertmanagers_are_all_told_and_one_that_takes_it_is_enough() -> None:
    with server(always=503) as away, server() as there, server(always=400) as refusing:
        for urls, expected in (([away.url, there.url], ""), ([away.url], "503"), ([refusing.url, away.url], "503"), ([refusing.url], "400")):
            settings = ChannelSettings(name="am", kind="alertmanager", url=urls)
            found = Alertmanager(settings, Post(settings, CLOCK), CLOCK).send([Notice(transition(), b"")])
            assert (found.reason, found.retry) == (expected, expected == "503")
        assert {each.path for each in there.taken + away.requests} == {"/api/v2/alerts"}


def test_a_server_that_cannot_prove_who_it_is_gets_nothing(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read ca_file"):
        Post(hook("https://127.0.0.1:1/", ca_file=str(tmp_path / "no.pem")), CLOCK)
    (tmp_path / "bad.pem").write_text("nothing")
    with pytest.raises(UsageError, match="cannot read ca_file"):
        Post(hook("https://127.0.0.1:1/", ca_file=str(tmp_path / "bad.pem")), CLOCK)


@pytest.mark.skipif(not shutil.which("openssl"), reason="no openssl to make a certificate with")
def test_certificates_are_checked(tmp_path: Path) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    names = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*made, *names], check=True, capture_output=True)
    clock = Clock()
    with server(certificate=(str(certificate), str(key))) as answering:
        found = {}
        for name, other in {"stranger": {}, "known": {"ca_file": str(certificate)}, "unchecked": {"verify_tls": False}}.items():
            settings = hook(answering.url, **other)
            found[name] = Post(settings, clock).send(settings.url[0], b"{}")
    assert (found["stranger"].reason, found["stranger"].retry) == ("tls", True)
    assert "self-signed certificate" in found["stranger"].error
    assert (found["known"], found["unchecked"]) == (Outcome(), Outcome())
    assert len(answering.requests) == 2


def test_why_a_message_is_not_sent() -> None:
    settings = hook(only={"severity": "critical", "team": ["payments", "search"]}, send=("firing", "pending", "evidence"))
    alert = transition()
    labels = {"slow-and-failing": {"severity": "critical", "team": "search"}}
    cases = {
        "": [alert, transition("pending"), transition("cancelled")],
        "not asked for": [transition("resolved")],
        "other labels": [transition(labels={"severity": "critical"}), transition(labels={"team": "payments"}, severity="warning"), evidence(alert)],
    }
    assert {why: {why_not(message, settings, {}) for message in messages} for why, messages in cases.items()} == {why: {why} for why in cases}
    assert why_not(evidence(alert), settings, labels) == ""


def test_memory_of_what_was_sent_is_bounded() -> None:
    recent = Recent(2)
    for identity in ("a", "b", "a", "c"):
        recent.add(identity)
    assert [identity in recent for identity in ("a", "b", "c")] == [True, False, True]


def test_the_newer_of_two_topics_holds() -> None:
    present, firing, resolved = Present(), transition(), transition("resolved", minute=5)
    present.learn(resolved, 1_000)
    present.learn(firing, 2_000)  # old news, read late
    assert [held.alert for _, held in present.to_tell(2_000)] == [resolved]
    again = transition(number=1, start_us=T0_US + 600_000_000, id="f" * 32)
    present.learn(evidence(firing), 3_000)
    assert present.about(evidence(firing)) == resolved
    present.learn(again, 4_000)
    assert ([(held.alert, held.evidence) for _, held in present.to_tell(4_000)], present.firing()) == ([(again, None)], 1)
    assert present.about(evidence(firing)) is None


def test_what_resolved_is_told_for_a_quarter_of_an_hour() -> None:
    present, resolved = Present(), transition("resolved", minute=5)
    present.learn(resolved, 0)
    assert len(list(present.to_tell(RESOLVED_KEPT_S * 1000))) == 1
    assert list(present.to_tell(RESOLVED_KEPT_S * 1000 + 1)) == []
    assert present.standing(key_of(resolved)) is None


def test_a_tombstone_ends_what_has_resolved() -> None:
    present, resolved = Present(), transition("resolved", minute=5)
    present.learn(resolved, 0)
    present.forget(key_of_text(state_key(resolved.rule, resolved.series)))
    assert list(present.to_tell(0)) == []
    with pytest.raises(ValueError, match="its key is none"):
        key_of_text(b"{}x")


def test_reading_is_lenient_to_the_later_and_strict_to_the_wrong() -> None:
    alert = transition()
    assert read(alert.model_dump_json().replace('"version":1', '"later":[1],"version":1').encode()) == alert
    assert read(evidence(alert).model_dump_json().encode()) == evidence(alert)
    for text, says in ((b"{", "not JSON"), (b"[]", "neither"), (b'{"kind":"x"}', "neither"), (b'{"kind":"transition"}', "id: Field required")):
        with pytest.raises(ValueError, match=says):
            read(text)


def test_times_that_are_none_are_refused_as_the_message_is_read() -> None:
    for name in ("start_us", "end_us", "started_us"):
        for us in (-1, 10**18):
            fields = transition().model_dump(mode="json")
            (fields if name == "started_us" else fields["window"])[name] = us
            with pytest.raises(ValueError, match="no time between"):
                read(orjson.dumps(fields))


def test_alerts_are_shared_out() -> None:
    shares = [share(transition(number=number), 4) for number in range(400)]
    assert min(shares.count(part) for part in range(4)) > 50
