"""Grok patterns match lines as AWS Glue and logstash do."""

import pytest

from clary.lake.formats.grok import compile_grok, read_patterns
from clary.lake.formats.grok_patterns import PATTERNS

COMBINED = (
    '127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] "GET /apache_pb.gif HTTP/1.0" 200 2326 '
    '"http://www.example.com/start.html" "Mozilla/4.08 [en] (Win98; I ;Nav)"'
)


def test_every_pattern_compiles() -> None:
    for name in read_patterns(PATTERNS):
        compile_grok(f"%{{{name}:it}}")


def test_a_line_is_taken_apart() -> None:
    grok = compile_grok("%{COMBINEDAPACHELOG}")
    fields = grok.match(COMBINED)
    assert fields is not None
    assert fields["clientip"] == "127.0.0.1"
    assert (fields["verb"], fields["request"], fields["response"]) == ("GET", "/apache_pb.gif", "200")
    assert fields["agent"] == '"Mozilla/4.08 [en] (Win98; I ;Nav)"'
    assert fields["rawrequest"] is None
    assert grok.match("something else") is None


def test_fields_have_types_and_custom_patterns() -> None:
    grok = compile_grok("%{LEVEL:level} %{INT:count:long} (?<rest>.*)", "# levels\nLEVEL (?:LOW|HIGH)\n")
    assert grok.fields == (("level", "string"), ("count", "bigint"), ("rest", "string"))
    assert grok.match("HIGH 12 of all") == {"level": "HIGH", "count": "12", "rest": "of all"}


@pytest.mark.parametrize(
    ("pattern", "custom", "message"),
    [
        ("%{NOPE:a}", "", "no pattern NOPE"),
        ("%{INT:a:number}", "", "number is not a type"),
        ("%{INT}", "", "has no field"),
        ("%{A:a}", "A %{B}\nB %{A}", "made of itself"),
        ("%{INT:a} (", "", "not a pattern"),
        ("%{INT:", "", "not a reference"),
        ("%{A:a}", "A", "not a custom pattern"),
    ],
)
def test_what_is_wrong_is_said(pattern: str, custom: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        compile_grok(pattern, custom)
