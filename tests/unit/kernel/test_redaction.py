"""Settings of redaction: a mistake is one line at the start, and the key is shown nowhere."""

from pathlib import Path

import pytest

from tracebraid.pipeline.kernel.environment import load_settings
from tracebraid.pipeline.kernel.errors import UsageError

KEY = "0123456789abcdef"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('hash = ["user.id"]', "redact in {}: hash needs key: 16 characters or more, for example from `openssl rand -hex 32`"),
        ('key = "short"', "redact in {}: key has 5 characters; 16 are the least"),
        ('mask = ["emails"]', "redact.mask[0] in {}: Input should be 'url_password', 'token', 'email' or 'card'"),
        ('drop = ["column:trace_id"]', "redact.drop[0] in {}: there is no column trace_id that could be redacted"),
        ('drop = [""]', "redact.drop[0] in {}: the key of an attribute has 1 to 1024 characters"),
        (f'drop = ["a"]\nhash = ["a"]\nkey = "{KEY}"', "redact in {}: a is in drop and in hash"),
        (
            "[[redact.patterns]]\nname = 'x'\npattern = '(?=a)b'",
            "redact.patterns[0].pattern in {}: '(?=a)b' is no regular expression of RE2: invalid perl operator: (?=",
        ),
        ("[[redact.patterns]]\nname = 'x'\npattern = 'a*'", "redact.patterns[0].pattern in {}: 'a*' matches the empty text: it would be masked everywhere"),
        (
            "[[redact.patterns]]\nname = 'email'\npattern = 'a'",
            "redact.patterns[0] in {}: 'email' is no name for a pattern: "
            "a small letter, then small letters, digits, _ and -, and not url_password, token, email, card",
        ),
        ("[[redact.patterns]]\nname = 'x'\npattern = 'a'\n" * 2, "redact in {}: two patterns are called x"),
    ],
)
def test_a_mistake_is_one_line(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "tracebraid.toml"
    path.write_text(f"[redact]\n{text}\n", encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        load_settings(path, {})
    assert caught.value.what == says.format(path)


def test_the_key_is_shown_nowhere(tmp_path: Path) -> None:
    path = tmp_path / "tracebraid.toml"
    path.write_text('[redact]\nhash = ["user.id"]\n', encoding="utf-8")
    settings = load_settings(path, {"TRACEBRAID_REDACT__KEY": KEY})
    assert settings.redact.key.get_secret_value() == KEY
    assert settings.masked()["redact"] == {"drop": [], "hash": ["user.id"], "key": "***", "mask": [], "patterns": []}
    assert KEY not in f"{settings!r} {settings.redact!r} {settings.masked()}"


def test_off_by_default_and_a_key_alone_warns() -> None:
    assert not load_settings(None, {}).redact.enabled
    assert load_settings(None, {"TRACEBRAID_REDACT__KEY": KEY}).warnings() == ["redact.key is set, but redact.hash names nothing to hash"]
