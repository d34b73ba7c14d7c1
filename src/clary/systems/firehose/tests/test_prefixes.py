"""The names of objects: expressions, defaults and the rules about them."""

from datetime import UTC, datetime

import pytest

from clary.kernel.core.errors import AwsError
from clary.systems.firehose.java_time import compile_pattern
from clary.systems.firehose.prefixes import Names, Naming

AT = datetime(2018, 8, 27, 22, 30, 5, 123456, UTC)
NAMING = Naming(AT.timestamp(), "seed", {"customer": "c-1"})
FAILED = NAMING._replace(error_type="processing-failed")


@pytest.mark.parametrize(
    ("pattern", "written"),
    [
        ("yyyy/MM/dd/HH", "2018/08/27/22"),
        ("yy u M L MMM MMMM d D", "18 2018 8 8 Aug August 27 239"),
        ("h a K k H m s SSS", "10 PM 10 22 22 30 5 123"),
        ("E EEEE e ee eee", "Mon Monday 2 02 Mon"),
        ("Q QQ QQQ QQQQ", "3 03 Q3 3rd quarter"),
        ("'year='yyyy''''", "year=2018''"),
        ("o'clock'"[1:], "clock"),
        ("YYYY ww", "2018 35"),
        ("X XX xx Z ZZZZ z VV", "Z Z +0000 +0000 GMT UTC UTC"),
    ],
)
def test_times_are_written_as_java_writes_them(pattern: str, written: str) -> None:
    assert compile_pattern(pattern)(AT) == written


@pytest.mark.parametrize("pattern", ["b", "dd'", "yyyy[MM]", "ddd", "SSSSSSSSSS"])
def test_what_java_does_not_know_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError):
        compile_pattern(pattern)


@pytest.mark.parametrize(
    ("prefix", "errors", "zone", "key", "failed"),
    [
        ("", "", "", "2018/08/27/22/x", "processing-failed/2018/08/27/22/x"),
        ("logs/", "", "", "logs/2018/08/27/22/x", "logs/processing-failed/2018/08/27/22/x"),
        ("logs/", "bad/", "Asia/Tokyo", "logs/2018/08/28/07/x", "bad/processing-failed/2018/08/28/07/x"),
        (
            "y=!{timestamp:yyyy}/h=!{timestamp:HH}/",
            "bad/!{firehose:error-output-type}/!{timestamp:dd}/",
            "",
            "y=2018/h=22/x",
            "bad/processing-failed/27/x",
        ),
    ],
)
def test_prefixes_are_evaluated(prefix: str, errors: str, zone: str, key: str, failed: str) -> None:
    names = Names(prefix, errors, zone)
    assert names.of(NAMING, "x") == key
    assert names.of(FAILED, "x") == failed


def test_partition_keys_and_chance_are_part_of_a_name() -> None:
    names = Names("!{partitionKeyFromQuery:customer}/!{firehose:random-string}/", "errors/", partitioned=True)
    key = names.of(NAMING, "x")
    customer, chance, _ = key.split("/")
    assert customer == "c-1"
    assert len(chance) == 11
    assert names.of(NAMING, "x") == key, "an object that is delivered again keeps its name"
    assert names.of(NAMING._replace(seed="another"), "x") != key
    with pytest.raises(KeyError):
        names.of(NAMING._replace(partition={}), "x")
    with pytest.raises(ValueError):
        names.of(NAMING._replace(partition={"customer": "c" * 1100}), "x")


def test_a_suffix_names_stream_version_and_time() -> None:
    suffix = Names("", "").suffix("stream", 3, NAMING, ".gz")
    assert suffix == "stream-3-2018-08-27-22-30-05-seed.gz"


@pytest.mark.parametrize(
    ("prefix", "errors", "zone", "partitioned"),
    [
        ("!{timestamp:yyyy}/", "", "", False),
        ("!{firehose:error-output-type}/", "errors/", "", False),
        ("!{timestamp:yyyy}/", "errors/!{timestamp:yyyy}/", "", False),
        ("!{timestamp:bbb}/", "errors/", "", False),
        ("!{nothing:x}/", "errors/", "", False),
        ("!{firehose", "errors/", "", False),
        ("!{partitionKeyFromQuery:k}/", "errors/", "", False),
        ("logs/", "errors/", "", True),
        ("!{partitionKeyFromQuery:k}/", "!{partitionKeyFromQuery:k}!{firehose:error-output-type}/", "", True),
        ("logs/", "", "Mars/Olympus", False),
    ],
)
def test_prefixes_that_break_a_rule_are_refused(prefix: str, errors: str, zone: str, partitioned: bool) -> None:
    with pytest.raises(AwsError) as refused:
        Names(prefix, errors, zone, partitioned=partitioned)
    assert refused.value.code == "InvalidArgumentException"
