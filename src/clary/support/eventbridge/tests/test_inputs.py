"""What a target is sent of an event: paths, templates, and what cannot be one."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.support.eventbridge.inputs import Facts, refuse_template, rendered, transformed
from clary.support.eventbridge.paths import find

FACTS = Facts("arn:aws:events:eu-west-1:111122223333:rule/r", "r", "2026-01-31T00:00:00Z")
EVENT = {
    "id": "e",
    "source": "shop",
    "resources": ["arn:one", "arn:two"],
    "detail": {"state": "ok", "n": 7, "who": {"name": 'Ann "A"'}, "items": [{"p": 1}, {"p": 2}], "a key": True},
}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("$", [EVENT]),
        ("$.detail.state", ["ok"]),
        ("$.detail['a key']", [True]),
        ("$.resources[1]", ["arn:two"]),
        ("$.resources[2]", []),
        ("$.detail.items[*].p", [[1, 2]]),
        ("$.detail.none", []),
        ("$.detail.state.x", []),
    ],
)
def test_paths(path, found):
    assert find(EVENT, path) == found


@pytest.mark.parametrize("path", ["detail", "$detail", "$.", "$..a", "$.a[", "$.a[-1]", "$.a b"])
def test_what_is_no_path(path):
    with pytest.raises(ValueError, match="JSON path"):
        find(EVENT, path)


PATHS = {"state": "$.detail.state", "n": "$.detail.n", "who": "$.detail.who", "list": "$.resources", "none": "$.x"}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ('"<state> has <n>"', '"ok has 7"'),
        ('{"s": <state>, "n": <n>, "l": <list>}', '{"s": "ok", "n": 7, "l": ["arn:one","arn:two"]}'),
        ('{"s": "is <state>", "none": <none>, "gone": "<none>"}', '{"s": "is ok", "none": "", "gone": ""}'),
        ('{"who": "<who>"}', json.dumps({"who": '{"name":"Ann \\"A\\""}'})),
        ('{"rule": <aws.events.rule-name>, "at": <aws.events.event.ingestion-time>}', None),
        ('"one <state>"\n"two <n>"', '"one ok"\n"two 7"'),
        ('{"less": "1 < 2", "quote": "\\"<state>\\""}', '{"less": "1 < 2", "quote": "\\"ok\\""}'),
    ],
)
def test_templates(template, text):
    assert refuse_template(template, PATHS) is None
    made = transformed(template, PATHS, EVENT, FACTS)
    if text is None:
        assert json.loads(made) == {"rule": "r", "at": "2026-01-31T00:00:00Z"}
    else:
        assert made == text


def test_whole_events_in_a_template():
    template = '{"whole": <aws.events.event.json>, "without": <aws.events.event>, "arn": "<aws.events.rule-arn>"}'
    made = json.loads(transformed(template, {}, EVENT, FACTS))
    assert made["whole"] == EVENT
    assert made["without"] == {key: value for key, value in EVENT.items() if key != "detail"}
    assert made["arn"] == FACTS.rule_arn


@pytest.mark.parametrize(
    ("template", "paths", "why"),
    [
        ("<state>", {}, "invalid placeholder state"),
        ("state <state>", {"state": "$.x"}, "not valid JSON"),
        ('{"a": <state>', {"state": "$.x"}, "not valid JSON"),
        ('"<state>"', {"state": "x"}, "must begin with"),
        ('"<aws.x>"', {"aws.x": "$.x"}, "reserved"),
        ('"<aws.events.nothing>"', {}, "invalid placeholder"),
    ],
)
def test_what_is_no_template(template, paths, why):
    assert why in refuse_template(template, paths)


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**40), 2**40), st.text()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(), inner, max_size=3)),
    max_leaves=6,
)


@given(JSON, st.text())
def test_whatever_a_variable_holds_the_template_stays_json(value, text):
    template = '{"value": <v>, "text": "[<v>] <t>", <t>: 1}'
    event = {"v": value, "t": text}
    made = json.loads(transformed(template, {"v": "$.v", "t": "$.t"}, event, FACTS))
    if text not in {"value", "text"}:
        assert made["value"] == value
        shown = made["text"].removesuffix(f" {text}")[1:-1]
        assert shown == value if isinstance(value, str) else json.loads(shown) == value


def test_what_is_sent():
    event = json.dumps(EVENT).encode()
    assert rendered({}, event, FACTS) == event.decode()
    assert rendered({"Input": "[1]"}, event, FACTS) == "[1]"
    assert rendered({"InputPath": "$.detail.state"}, event, FACTS) == '"ok"'
    assert rendered({"InputPath": "$.none"}, event, FACTS) == "null"
