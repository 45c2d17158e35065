"""A user's formats in the settings: what is refused at start, and what holds for a topic."""

from pathlib import Path

import pytest

from tests.unit.kernel.test_environment import mistake, written
from tracebraid.pipeline.kernel.environment import load_settings
from tracebraid.pipeline.kernel.formats import FormatSettings, formats_of


@pytest.mark.parametrize(
    ("section", "says"),
    [
        ("pattern = '(?P<a>x'", "formats[0].pattern in {path} is '(?P<a>x': invalid regular expression: missing ); the syntax is RE2's"),
        ("pattern = '(?P<a>x)(y)'", "regular expression contains unnamed groups; write groups that have no name as (?:…)"),
        ("pattern = '(?=x)(?P<a>x)'", "invalid perl operator: (?=; the syntax is RE2's, without look-around and back references"),
        ("pattern = '(?P<a>x)(?P<a>y)'", "the group a is there twice"),
        ("pattern = 'x'", "the pattern has no named group"),
        ("fields = {levle = 'x'}", "levle is no column of a format; there are time, level, message,"),
        ("pattern = '(?P<a>x)'\nfields = {level = 'x'}", "give either pattern or fields"),
        ("", "give either pattern or fields"),
        ("topics = ['(']\nfields = {level = 'x'}", "'(' is not a regular expression"),
        ("patern = 'x'", "there is no such setting"),
    ],
)
def test_a_mistake_is_one_line_at_start(tmp_path: Path, section: str, says: str) -> None:
    path = written(tmp_path, f"[[formats]]\nname = 'mine'\n{section}")
    assert says.format(path=path) in mistake(path)


def test_formats_in_a_variable_are_json() -> None:
    settings = load_settings(None, {"TRACEBRAID_FORMATS": '[{"name": "a", "fields": {"level": "stufe"}}]'})
    assert settings.formats == (FormatSettings(name="a", fields={"level": "stufe"}),)
    assert "TRACEBRAID_FORMATS is not JSON" in mistake(environ={"TRACEBRAID_FORMATS": "x"})


def test_what_holds_for_a_topic() -> None:
    first = FormatSettings(name="first", topics=("a", "b.*"), fields={"level": "x"})
    second = FormatSettings(name="second", fields={"time": "x", "message": "y"})
    pattern = FormatSettings(name="third", topics=("a",), pattern="(?P<level>.*)")
    held = formats_of((first, second, pattern), "a")
    assert held.fields == {"x": ("level", "first"), "y": ("message", "second")}
    assert [name for name, _ in held.patterns] == ["third"]
    assert formats_of((first, second, pattern), "ab").fields == {"x": ("time", "second"), "y": ("message", "second")}
