"""The filter pattern language, held to the examples of its documentation and to hostile input."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.support.logs.patterns import PatternError, compile_pattern

EVENT = (
    '{"eventType": "UpdateTrail", "sourceIPAddress": "111.111.111.111", "arrayKey": ["value", "another value"],'
    ' "objectList": [{"name": "a", "id": 1}, {"name": "b", "id": 2}], "SomeObject": null, "ThisFlag": true,'
    ' "latency": 12.5, "status": 404, "a.b": {"c": "deep"}}'
)
ACCESS = '127.0.0.1 - frank [10/Oct/2000:13:25:15 -0700] "GET /index.html HTTP/1.0" 404 1534'


@pytest.mark.parametrize(
    ("pattern", "message", "matches"),
    [
        ("", "anything", True),
        ("ERROR", "Exiting with ERRORCODE: -1", True),
        ("ERROR", "an error", False),
        ("ERROR ARGUMENTS", "[ERROR 419] MISSING ARGUMENTS", True),
        ("ERROR ARGUMENTS", "[ERROR 400] BAD REQUEST", False),
        ("?ERROR ?WARN", "a WARN", True),
        ("?ERROR ?WARN", "an INFO", False),
        ("?ERROR INFO", "an INFO", True),
        ("?ERROR INFO", "an ERROR", False),
        ("ERROR -ARGUMENTS", "[ERROR 400] BAD REQUEST", True),
        ("ERROR -ARGUMENTS", "[ERROR 419] MISSING ARGUMENTS", False),
        ("-ARGUMENTS", "quiet", True),
        ('"INTERNAL SERVER ERROR"', "[ERROR 500] INTERNAL SERVER ERROR", True),
        ('"INTERNAL SERVER ERROR"', "INTERNAL ERROR SERVER", False),
        ('"say \\"hi\\""', 'they say "hi"', True),
        ("%ERROR [45][0-9]{2}%", "[ERROR 404] NOT FOUND", True),
        ("%^ERROR%", "[ERROR 404]", False),
    ],
)
def test_terms(pattern, message, matches):
    assert (compile_pattern(pattern).match(message) is not None) is matches


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        ('{ $.eventType = "UpdateTrail" }', True),
        ("{ $.eventType = Update* }", True),
        ('{ $.eventType != "UpdateTrail" }', False),
        ("{ $.sourceIPAddress != 123.123.* }", True),
        ('{ $.arrayKey[0] = "value" }', True),
        ('{ $.arrayKey[2] = "value" }', False),
        ('{ $.arrayKey[*] = "another value" }', True),
        ("{ $.objectList[1].id = 2 }", True),
        ("{ $.objectList[*].id > 1 }", True),
        ("{ $.SomeObject IS NULL }", True),
        ("{ $.SomeOtherObject NOT EXISTS }", True),
        ("{ $.SomeObject NOT EXISTS }", False),
        ("{ $.SomeOtherObject != 1 }", False),
        ("{ $.ThisFlag IS TRUE }", True),
        ("{ $.ThisFlag IS FALSE }", False),
        ("{ $.latency > 12 }", True),
        ("{ $.latency <= 1.25e1 }", True),
        ("{ $.latency < 12 }", False),
        ("{ $.status = 4* }", True),
        ("{ $.status = 404 }", True),
        ("{ $.eventType = %Trail$% }", True),
        ("{ $.['a.b'].c = deep }", False),
        ("{ $['a.b'].c = deep }", True),
        ('{ ($.latency > 100 || $.status = 404) && $.eventType = "Update*" }', True),
        ('{ $.latency > 100 || $.status = 404 && $.eventType = "No" }', False),
    ],
)
def test_json(pattern, matches):
    try:
        found = compile_pattern(pattern).match(EVENT)
    except PatternError:
        assert "$.[" in pattern
        return
    assert (found is not None) is matches


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        ("[ip, id, user, timestamp, request, status, bytes]", True),
        ("[ip, id, user, timestamp, request = *html*, status = 4*, bytes > 1000]", True),
        ("[ip, id, user, timestamp, request, status = 5*, bytes]", False),
        ("[ip, user]", False),
        ("[..., status = 4* || status = 5*, bytes]", True),
        ("[ip, ..., bytes < 1000]", False),
        ("[ip = %^127%, ...]", True),
        ("[ip != 10.* && ip != 192.*, ...]", True),
        ("[,,,,,,]", True),
    ],
)
def test_words(pattern, matches):
    assert (compile_pattern(pattern).match(ACCESS) is not None) is matches


def test_values_are_extracted_by_selector():
    found = compile_pattern("[ip, ..., status, bytes]").match(ACCESS)
    assert found == {"$ip": "127.0.0.1", "$status": "404", "$bytes": "1534"}
    assert compile_pattern("{ $.latency > 0 && $.status > 0 }").match(EVENT) == {"$.latency": "12.5", "$.status": "404"}
    assert compile_pattern("{ $.latency > 0 }").extract(EVENT, "$.objectList[1].name") == "b"
    assert compile_pattern("{ $.latency > 0 }").extract(EVENT, "$.none") is None
    assert compile_pattern("[ip, ..., bytes]").extract(ACCESS, "$bytes") == "1534"


@pytest.mark.parametrize(
    "pattern",
    [
        "foo:bar",
        '"open',
        "%open",
        "%(a)%",
        "%[%",
        "%[[a]%",
        "%a*b*c*d*e*%",
        "%a{99999999999}%",
        "{ $.a }",
        "{ $.a = }",
        "{ a = 1 }",
        "{ $.a > x }",
        "{ $.a = 1",
        "{ $.a = 1 } x",
        "{ $.a = *1*2*3*4*5* }",
        "[a",
        "[a, ..., ...]",
        "[a = 1 || b = 2]",
        "{ " + "(" * 60 + "$.a = 1" + ")" * 60 + " }",
    ],
)
def test_what_is_no_pattern_is_refused(pattern):
    with pytest.raises(PatternError):
        compile_pattern(pattern)


@given(st.text(alphabet='{}[]()$.*"%=!<>&|,?- \\aA10', max_size=60), st.text(max_size=40))
def test_any_text_is_a_pattern_or_refused(pattern, message):
    try:
        compiled = compile_pattern(pattern)
    except PatternError:
        return
    compiled.match(message)
    compiled.match(EVENT)
    compiled.match(ACCESS)
