"""The policy language, by the rules of the IAM user guide."""

from typing import Any

import orjson
import pytest

from clary.kernel.auth import aws_managed, policies
from clary.kernel.auth.actions import action_of
from clary.kernel.auth.policies import Permissions, compile_document, decide, denied, trusts, trusts_service
from clary.kernel.auth.principals import Principal
from clary.kernel.wire.models import service


def text(*statements: dict[str, Any]) -> str:
    return orjson.dumps({"Version": "2012-10-17", "Statement": list(statements)}).decode()


def allow(**elements: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": "*", "Resource": "*", **elements}


def outcome(statements: list[dict[str, Any]], action: str, resource: str = "*", **context: Any) -> str:
    permissions = Permissions((compile_document(text(*statements), "p"),))
    return decide(permissions, action.lower(), resource, context).outcome


@pytest.mark.parametrize(
    ("pattern", "action", "matches"),
    [
        ("s3:GetObject", "s3:getobject", True),
        ("S3:Get*", "s3:GetObjectTagging", True),
        ("s3:Get?bject", "s3:GetObject", True),
        ("s3:Get*", "s3:PutObject", False),
        ("*", "anything:AtAll", True),
        ("s3:*", "s3control:Get", False),
    ],
)
def test_actions(pattern: str, action: str, matches: bool) -> None:
    assert outcome([allow(Action=pattern)], action) == ("allowed" if matches else "implicitDeny")


def test_not_action_and_not_resource() -> None:
    statement = {"Effect": "Allow", "NotAction": "iam:*", "NotResource": "arn:aws:s3:::secret/*"}
    assert outcome([statement], "s3:GetObject", "arn:aws:s3:::open/x") == "allowed"
    assert outcome([statement], "s3:GetObject", "arn:aws:s3:::secret/x") == "implicitDeny"
    assert outcome([statement], "iam:GetRole", "arn:aws:s3:::open/x") == "implicitDeny"


def test_a_time_at_the_edge_of_the_calendar_holds_nothing() -> None:
    limit = {"DateLessThan": {"aws:CurrentTime": "0001-01-01T00:00:00+14:00"}}
    now = {"aws:currenttime": "2026-01-31T00:00:00Z"}
    assert outcome([allow(Condition=limit)], "s3:GetObject", **now) == "implicitDeny"


def test_explicit_deny_wins() -> None:
    deny = {"Effect": "Deny", "Action": "s3:DeleteObject", "Resource": "*"}
    assert outcome([allow(), deny], "s3:DeleteObject") == "explicitDeny"
    assert outcome([deny, allow()], "s3:DeleteObject") == "explicitDeny"
    assert outcome([deny, allow()], "s3:GetObject") == "allowed"
    assert outcome([deny], "s3:GetObject") == "implicitDeny"


def test_resources_are_case_sensitive_and_literal_brackets_stay_literal() -> None:
    statement = allow(Resource="arn:aws:s3:::Data/[a]*")
    assert outcome([statement], "s3:GetObject", "arn:aws:s3:::Data/[a]b") == "allowed"
    assert outcome([statement], "s3:GetObject", "arn:aws:s3:::Data/a") == "implicitDeny"
    assert outcome([statement], "s3:GetObject", "arn:aws:s3:::data/[a]b") == "implicitDeny"


def test_policy_variables_are_filled_in_literally() -> None:
    statement = allow(Resource="arn:aws:s3:::home/${aws:username}/*")
    home = "arn:aws:s3:::home/"
    assert outcome([statement], "s3:GetObject", home + "bob/x", **{"aws:username": "bob"}) == "allowed"
    assert outcome([statement], "s3:GetObject", home + "eve/x", **{"aws:username": "*"}) == "implicitDeny"
    assert outcome([statement], "s3:GetObject", home + "/x") == "implicitDeny"
    assert outcome([allow(Resource="a/${*}")], "s3:GetObject", "a/*") == "allowed"
    assert outcome([allow(Resource="a/${*}")], "s3:GetObject", "a/b") == "implicitDeny"


CONDITIONS = [
    ("StringEquals", "a", ["b", "a"], True),
    ("StringEquals", "A", "a", False),
    ("StringEquals", "a", "*", False),
    ("StringNotEquals", "a", ["b", "c"], True),
    ("StringNotEquals", "b", ["b", "c"], False),
    ("StringEqualsIgnoreCase", "A", "a", True),
    ("StringLike", "abc", "a*", True),
    ("StringNotLike", "abc", "a*", False),
    ("NumericLessThan", "5", "10", True),
    ("NumericGreaterThanEquals", "5", "10", False),
    ("NumericEquals", "x", "10", False),
    ("DateLessThan", "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z", True),
    ("DateGreaterThan", "1767225600", "2027-01-01T00:00:00Z", False),
    ("Bool", "true", True, True),
    ("Bool", "false", "true", False),
    ("IpAddress", "10.1.2.3", "10.0.0.0/8", True),
    ("NotIpAddress", "10.1.2.3", "10.0.0.0/8", False),
    ("IpAddress", "nonsense", "10.0.0.0/8", False),
    ("ArnLike", "arn:aws:s3:::b/k", "arn:aws:s3:::b/*", True),
    ("ArnLike", "arn:aws:s3:::b/k", "arn:aws:*:b/*", False),
    ("ForAnyValue:StringEquals", ["x", "a"], "a", True),
    ("ForAllValues:StringEquals", ["x", "a"], ["a"], False),
    ("ForAllValues:StringEquals", ["a"], ["a", "x"], True),
]


@pytest.mark.parametrize(("operator", "actual", "wanted", "holds"), CONDITIONS)
def test_conditions(operator: str, actual: Any, wanted: Any, holds: bool) -> None:
    statement = allow(Condition={operator: {"s3:Key": wanted}})
    assert outcome([statement], "s3:GetObject", **{"s3:key": actual}) == ("allowed" if holds else "implicitDeny")


@pytest.mark.parametrize(
    ("operator", "wanted", "holds"),
    [
        ("StringEquals", "a", False),
        ("StringEqualsIfExists", "a", True),
        ("StringNotEquals", "a", True),
        ("Null", "true", True),
        ("Null", False, False),
        ("ForAllValues:StringEquals", "a", True),
        ("ForAnyValue:StringEquals", "a", False),
    ],
)
def test_conditions_on_a_missing_key(operator: str, wanted: Any, holds: bool) -> None:
    statement = allow(Condition={operator: {"aws:Absent": wanted}})
    assert outcome([statement], "s3:GetObject") == ("allowed" if holds else "implicitDeny")


@pytest.mark.parametrize(
    "document",
    [
        "",
        "[]",
        "{}",
        '{"Version": "2020-01-01", "Statement": []}',
        text(),
        text({"Effect": "Allow"}),
        text({"Effect": "Maybe", "Action": "*", "Resource": "*"}),
        text({"Effect": "Allow", "Action": "nonsense", "Resource": "*"}),
        text({"Effect": "Allow", "Action": 7, "Resource": "*"}),
        text(allow(NotAction="s3:*")),
        text(allow(Conditions={})),
        text(allow(Condition={"StringSounds": {"a": "b"}})),
        text(allow(Condition={"EachValue:StringEquals": {"a": "b"}})),
        text(allow(Condition="x")),
    ],
)
def test_malformed_documents_are_refused(document: str) -> None:
    with pytest.raises(ValueError):
        compile_document(document, "p")


def test_every_managed_policy_compiles() -> None:
    for name, document in aws_managed.DOCUMENTS.items():
        assert compile_document(document, name).statements
    assert aws_managed.document("arn:aws:iam::aws:policy/AmazonSageMakerFullAccess")
    assert aws_managed.document("arn:aws:iam::aws:policy/Nonsense") is None


def test_trust_policies() -> None:
    account = "111122223333"
    trust = text(
        {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"},
        {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{account}:root"}, "Action": "sts:AssumeRole"},
        {"Effect": "Deny", "Principal": {"AWS": f"arn:aws:iam::{account}:user/mallory"}, "Action": "sts:*"},
    )
    alice, mallory = (Principal("user", account, name=name) for name in ("alice", "mallory"))
    assert trusts(trust, alice, "sts:AssumeRole").allowed
    assert trusts(trust, mallory, "sts:AssumeRole").outcome == "explicitDeny"
    assert not trusts(trust, Principal("root", "999999999999"), "sts:AssumeRole").allowed
    assert trusts_service(trust, "sagemaker.amazonaws.com")
    assert not trusts_service(trust, "glue.amazonaws.com")


def test_require_names_who_what_and_why() -> None:
    operation = service("sagemaker").operations["CreateModel"]
    nobody = Principal("user", "111122223333", name="bob", permissions=Permissions(()))
    with pytest.raises(policies.AwsError) as caught:
        policies.require(nobody, operation, lambda: "arn:aws:sagemaker:us-east-1:111122223333:model/m")
    assert caught.value.code == "AccessDeniedException"
    assert caught.value.message == (
        "User: arn:aws:iam::111122223333:user/bob is not authorized to perform: sagemaker:CreateModel on resource: "
        "arn:aws:sagemaker:us-east-1:111122223333:model/m because no identity-based policy allows the "
        "sagemaker:CreateModel action"
    )
    with pytest.raises(policies.AwsError):
        policies.require(Principal("anonymous", ""), operation, lambda: "*")
    policies.require(Principal("root", "111122223333"), operation, lambda: pytest.fail("the root needs no look-up"))
    decision = policies.authorize(nobody, "s3:GetObject", "*")
    s3 = service("s3").operations["GetObject"]
    error = denied(nobody, "s3:GetObject", "*", decision, s3)
    assert (error.code, error.status) == ("AccessDenied", 403)


@pytest.mark.parametrize(
    ("name", "operation", "action"),
    [
        ("s3", "ListObjectsV2", "s3:ListBucket"),
        ("s3", "HeadObject", "s3:GetObject"),
        ("s3", "GetObject", "s3:GetObject"),
        ("sagemaker-runtime", "InvokeEndpoint", "sagemaker:InvokeEndpoint"),
        ("sagemaker-featurestore-runtime", "PutRecord", "sagemaker:PutRecord"),
        ("lambda", "Invoke", "lambda:InvokeFunction"),
        ("emr", "RunJobFlow", "elasticmapreduce:RunJobFlow"),
        ("logs", "PutLogEvents", "logs:PutLogEvents"),
    ],
)
def test_action_of(name: str, operation: str, action: str) -> None:
    assert action_of(service(name).operations[operation]) == action
