"""Pages and tokens, over the operations of every service."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clary.kernel.core.errors import AwsError
from clary.kernel.wire import (
    SERVICES,
    Operation,
    decode_token,
    encode_token,
    page_asked,
    page_output,
    paginate,
    paging,
    service,
)

LIST_MODELS = service("sagemaker").operations["ListModels"]

# Operations that page by more than one plain token, or put their list inside a structure: their rooms do it themselves
OF_ITS_OWN = {
    "s3.ListMultipartUploads",
    "s3.ListObjectVersions",
    "s3.ListObjects",
    "athena.GetQueryResults",
    "ecr.DescribeImageScanFindings",
    "kinesis.DescribeStream",
}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


def walk(operation: Operation, items: list[Any], limit: int, **options: Any) -> list[list[Any]]:
    names = paging(operation)
    pages, token = [], None
    while True:
        output = paginate(operation, {names.limit_key or "": limit, names.input_token: token}, items, **options)
        pages.append(output[names.result_key])
        token = output.get(names.output_token)
        if names.more_results:
            assert output[names.more_results] == (token is not None)
        if token is None:
            return pages


def test_every_paginator_of_botocore_is_understood() -> None:
    failed = set()
    for name in SERVICES:
        for operation in service(name).operations.values():
            if operation.paginator:
                try:
                    names = paging(operation)
                except LookupError:
                    failed.add(f"{name}.{operation.name}")
                    continue
                assert operation.input is not None
                assert names.input_token in operation.input.members
                assert names.limit_key is None or names.limit_key in operation.input.members
    assert failed == OF_ITS_OWN


def test_operations_without_paginator_are_looked_at() -> None:
    names = paging(service("glue").operations["ListSessions"])
    assert (names.input_token, names.output_token, names.limit_key, names.result_key) == (
        "NextToken",
        "NextToken",
        "MaxResults",
        "Ids",
    )
    with pytest.raises(LookupError):
        paging(service("sagemaker").operations["CreateModel"])


def test_pages_of_a_list() -> None:
    assert walk(LIST_MODELS, list("abcdefg"), 3) == [["a", "b", "c"], ["d", "e", "f"], ["g"]]
    assert walk(LIST_MODELS, list("abcdef"), 3) == [["a", "b", "c"], ["d", "e", "f"]]
    assert walk(LIST_MODELS, [], 3) == [[]]
    roles = service("iam").operations["ListRoles"]
    assert walk(roles, list("abc"), 2, key=str) == [["a", "b"], ["c"]]


def test_keyed_pages_neither_skip_nor_repeat_when_items_come_and_go() -> None:
    names = paging(LIST_MODELS)
    first = paginate(LIST_MODELS, {"MaxResults": 2}, ["b", "d", "f", "h"], key=str)
    second = paginate(
        LIST_MODELS, {"MaxResults": 2, "NextToken": first["NextToken"]}, ["a", "b", "c", "f", "h"], key=str
    )
    assert (first[names.result_key], second[names.result_key]) == (["b", "d"], ["f", "h"])


def test_keys_may_be_tuples() -> None:
    items = [(1, "a"), (1, "b"), (2, "a")]
    assert walk(LIST_MODELS, items, 2, key=lambda item: item) == [items[:2], items[2:]]


def test_a_store_that_pages_by_itself() -> None:
    output = page_output(LIST_MODELS, [{"ModelName": "a"}], {"after": "a"})
    assert page_asked(LIST_MODELS, {"NextToken": output["NextToken"]}, default=7) == (7, {"after": "a"})
    assert page_asked(LIST_MODELS, {"MaxResults": 5}) == (5, None)
    assert page_output(LIST_MODELS, [], None) == {"Models": []}


@given(json_values)
def test_tokens_hold_any_small_value(value: Any) -> None:
    token = encode_token(LIST_MODELS, value)
    assert decode_token(LIST_MODELS, token) == value
    assert set(token) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


@pytest.mark.parametrize(
    ("name", "operation", "code"),
    [
        ("sagemaker", "ListModels", "ValidationException"),
        ("application-autoscaling", "DescribeScalableTargets", "InvalidNextTokenException"),
        ("rekognition", "ListFaces", "InvalidPaginationTokenException"),
        ("cloudwatch", "DescribeAlarms", "InvalidNextToken"),
        ("logs", "DescribeLogGroups", "InvalidParameterException"),
        ("athena", "ListWorkGroups", "InvalidRequestException"),
        ("kinesis", "ListShards", "ExpiredNextTokenException"),
    ],
)
def test_a_foreign_token_is_the_services_own_error(name: str, operation: str, code: str) -> None:
    mine, other = service(name).operations[operation], service("glue").operations["GetTables"]
    for token in (encode_token(other, 3), "x", "", "AAAA", "Ü", "a" * 9000):
        with pytest.raises(AwsError) as caught:
            decode_token(mine, token)
        assert caught.value.code == code


@settings(max_examples=200)
@given(st.data())
def test_an_altered_token_is_refused(data: st.DataObject) -> None:
    token = encode_token(LIST_MODELS, ["position", 5])
    place = data.draw(st.integers(0, len(token) - 2))  # the last character holds unused bits
    letter = data.draw(st.sampled_from("ABCxyz019-_").filter(lambda each: each != token[place]))
    with pytest.raises(AwsError):
        decode_token(LIST_MODELS, token[:place] + letter + token[place + 1 :])


@pytest.mark.parametrize("position", ["x", -1, {"a": 1}, [1, "a"], 1.5e300])
def test_a_position_that_makes_no_sense_is_refused_or_empty(position: Any) -> None:
    token = encode_token(LIST_MODELS, position)
    for key in (None, lambda item: item):
        try:
            output = paginate(LIST_MODELS, {"NextToken": token}, [1, 2, 3], key=key)
        except AwsError as error:
            message = error.message
        else:
            message = ""
            assert set(output) <= {"Models", "NextToken"}
        assert isinstance(message, str)
