"""Filter policies: what each operator takes, and what a policy may not say."""

import json

import pytest

from clary.kernel.core.errors import AwsError
from clary.support.sns.filters import ATTRIBUTES, BODY, compile_filter


def text(value):
    return {"DataType": "String", "StringValue": value}


def number(value):
    return {"DataType": "Number", "StringValue": str(value)}


def array(*values):
    return {"DataType": "String.Array", "StringValue": json.dumps(values)}


@pytest.mark.parametrize(
    ("wanted", "accepted", "refused"),
    [
        (["a", "b"], [text("a"), text("b"), array("x", "b")], [text("c"), number(1), array()]),
        ([100], [number(100), number("1e2"), array(100)], [text("100"), number(101)]),
        ([{"prefix": "shop-"}], [text("shop-7")], [text("myshop-7"), number(1)]),
        ([{"suffix": ".csv"}], [text("a.csv")], [text("a.csv.gz")]),
        ([{"equals-ignore-case": "Tennis"}], [text("tEnnis")], [text("tennis!")]),
        ([{"wildcard": "a*c*e"}], [text("abcde"), text("ace")], [text("acx"), text("xace")]),
        ([{"anything-but": ["a", 7]}], [text("b"), number(8), array("a", "z")], [text("a"), number(7)]),
        ([{"anything-but": {"prefix": "x"}}], [text("a")], [text("xa")]),
        ([{"numeric": ["=", 3.5]}], [number("3.50")], [number(3)]),
        ([{"numeric": [">", 0, "<=", 10]}], [number(10), number(0.5)], [number(0), number(11), text("5")]),
        ([{"cidr": "10.0.0.0/24"}], [text("10.0.0.255")], [text("10.0.1.1"), text("x")]),
        ([{"exists": True}], [text("x"), {"DataType": "Binary", "BinaryValue": "AA=="}], []),
        ([None, True], [array(None), array(True)], [text("null"), array("true")]),
    ],
    ids=lambda value: json.dumps(value)[:40],
)
def test_operators_on_attributes(wanted, accepted, refused):
    policy = compile_filter(json.dumps({"key": wanted}), ATTRIBUTES)
    assert [each for each in accepted if not policy.accepts({"key": each}, "")] == []
    assert [each for each in refused if policy.accepts({"key": each}, "")] == []
    assert not policy.accepts({"other": text("a")}, "")


def test_every_key_must_match_and_absence_can():
    policy = compile_filter(json.dumps({"a": ["1"], "b": [{"exists": False}]}), ATTRIBUTES)
    assert policy.accepts({"a": text("1")}, "")
    assert not policy.accepts({"a": text("1"), "b": text("x")}, "")
    assert not policy.accepts({}, "")


def test_alternatives():
    policy = compile_filter(json.dumps({"$or": [{"a": ["1"]}, {"b": ["2"]}], "c": ["3"]}), ATTRIBUTES)
    assert policy.accepts({"b": text("2"), "c": text("3")}, "")
    assert not policy.accepts({"b": text("1"), "c": text("3")}, "")


def test_bodies_to_any_depth():
    policy = compile_filter(
        json.dumps({"order": {"items": {"price": [{"numeric": [">", 9]}]}, "note": [{"exists": False}]}}), BODY
    )
    assert policy.accepts({}, '{"order": {"items": [{"price": 1}, {"price": 10}]}}')
    assert not policy.accepts({}, '{"order": {"items": [{"price": 1}]}}')
    assert not policy.accepts({}, '{"order": {"items": {"price": 10}, "note": "x"}}')
    for no_object in ("", "[]", "words"):
        assert not policy.accepts({}, no_object)


@pytest.mark.parametrize(
    "policy",
    [
        "{",
        "[]",
        '{"a": "b"}',
        '{"a": []}',
        '{"a": {"b": ["c"]}}',
        '{"a": [["b"]]}',
        '{"a": [{"prefix": 1}]}',
        '{"a": [{"prefix": "x", "suffix": "y"}]}',
        '{"a": [{"sounds-like": "x"}]}',
        '{"a": [{"numeric": [">"]}]}',
        '{"a": [{"numeric": ["<", 1, ">", 0]}]}',
        '{"a": [{"exists": "yes"}]}',
        '{"a": [{"cidr": "10.0.0.0/99"}]}',
        '{"a": [{"anything-but": []}]}',
        json.dumps({letter: ["x"] for letter in "abcdef"}),
        json.dumps({"a": list("abcdefghijklm"), "b": list("abcdefghijklm")}),
    ],
)
def test_policies_that_make_no_sense(policy):
    with pytest.raises(AwsError) as caught:
        compile_filter(policy, ATTRIBUTES)
    assert caught.value.code in {"InvalidParameter", "FilterPolicyLimitExceeded"}
