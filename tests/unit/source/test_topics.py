"""Which topics are read, and as what."""

from tracebraid.pipeline.kernel.settings import TopicSettings
from tracebraid.pipeline.source.topics import settings_of, wanted

SETTINGS = [TopicSettings(name="otlp_spans", encoding="otlp_proto"), TopicSettings(pattern=r"app-\d+", tenant="a"), TopicSettings(pattern=".*")]


def test_the_first_that_fits_wins_and_patterns_fit_whole_names() -> None:
    assert [settings_of(name, SETTINGS[:2]) for name in ("otlp_spans", "app-1", "my-app-1", "app-1x")] == [SETTINGS[0], SETTINGS[1], None, None]
    assert settings_of("app-1", SETTINGS[::-1]) == SETTINGS[2]


def test_names_are_wanted_also_before_they_exist_and_patterns_catch_nothing_internal() -> None:
    existing = ["b", "a", "__consumer_offsets", "tracebraid.rejects", "my-rejects"]
    assert wanted(existing, SETTINGS, own={"my-rejects"}) == ["a", "b", "otlp_spans"]
    assert wanted(existing, [TopicSettings(name="tracebraid.rejects")]) == ["tracebraid.rejects"]
