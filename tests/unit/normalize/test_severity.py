"""Level words and numbers by OpenTelemetry's table."""

import pytest

from tracebraid.pipeline.normalize.severity import severity_number


@pytest.mark.parametrize(
    ("texts", "number"),
    [
        (("TRACE", "trace", "trc", "FINEST", "10"), 1),
        (("DEBUG", "Debug", "DBG", "dbug", "Verbose", "FINER", "20", "7"), 5),
        (("FINE", "debug2"), 6),
        (("CONFIG",), 7),
        (("INFO", "info", "Information", "informational", "INF", "30", "6", "[info]"), 9),
        (("NOTICE", "notice", "5"), 10),
        (("WARN", "warning", "WRN", "40", "4", " warn "), 13),
        (("ERROR", "err", "SEVERE", "fail", "50", "3"), 17),
        (("crit", "2"), 18),
        (("alert", "panic", "1"), 19),
        (("FATAL", "Critical", "CRITICAL", "emerg", "ftl", "60", "0"), 21),
        (("FATAL4",), 24),
        (("", "loud", "8", "9", "70", "-1", "99999999999999999999", "٣", "infoo"), 0),
    ],
)
def test_words_and_numbers_of_the_usual_libraries(texts: tuple[str, ...], number: int) -> None:
    assert {text: severity_number(text) for text in texts} == dict.fromkeys(texts, number)


def test_the_words_of_appendix_b() -> None:
    systems = {
        "syslog": (("Debug", 5), ("Informational", 9), ("Notice", 10), ("Warning", 13), ("Error", 17), ("crit", 18), ("Alert", 19), ("Emergency", 21)),
        "windows": (("Verbose", 5), ("Information", 9), ("Warning", 13), ("Error", 17)),
        "log4j": (("TRACE", 1), ("DEBUG", 5), ("INFO", 9), ("WARN", 13), ("ERROR", 17), ("FATAL", 21)),
        "zap": (("Debug", 5), ("Info", 9), ("Warn", 13), ("Error", 17), ("Dpanic", 18), ("Panic", 19), ("Fatal", 21)),
        "java": (("FINEST", 1), ("FINER", 5), ("FINE", 6), ("CONFIG", 7), ("INFO", 9), ("WARNING", 13), ("SEVERE", 17)),
        "dotnet": (("Trace", 1), ("Debug", 5), ("Information", 9), ("Warning", 13), ("Error", 17), ("Critical", 21)),
    }
    wanted = {name: dict(levels) for name, levels in systems.items()}
    assert {name: {word: severity_number(word) for word in levels} for name, levels in wanted.items()} == wanted


def test_a_number_means_what_its_field_says() -> None:
    assert [severity_number("10", scale) for scale in ("", "otel", "python")] == [1, 10, 5]
    assert [severity_number(text, "otel") for text in ("0", "1", "24", "25")] == [0, 1, 24, 0]
    assert [severity_number(text) for text in ("100", "300", "600", "800")] == [5, 10, 18, 21]
