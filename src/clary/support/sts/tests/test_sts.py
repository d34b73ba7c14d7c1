"""STS through a real client: temporary credentials do what they should, and no more."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from clary.testing import Server

Unique = Callable[[str], str]


@pytest.fixture
def sts(server: Server) -> Any:
    return server.client("sts")


def pair(credentials: dict[str, Any]) -> dict[str, Any]:
    return {
        "aws_access_key_id": credentials["AccessKeyId"],
        "aws_secret_access_key": credentials["SecretAccessKey"],
        "aws_session_token": credentials["SessionToken"],
    }


def refusal(call: Callable[..., Any], **arguments: Any) -> dict[str, Any]:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return dict(caught.value.response["Error"])


@pytest.fixture
def role(server: Server, unique: Unique) -> str:
    """A role that the account's principals may assume and that may list and read IAM."""
    iam, name = server.client("iam"), unique("role")
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::000000000000:root"}, "Action": "sts:AssumeRole"}
        ],
    }
    arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    statement = {"Effect": "Allow", "Action": ["iam:List*", "iam:Get*"], "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_role_policy(RoleName=name, PolicyName="read", PolicyDocument=policy)
    return str(arn)


def test_default_identity_is_a_role_session(sts: Any) -> None:
    identity = sts.get_caller_identity()
    assert identity["Account"] == "000000000000"
    assert identity["Arn"] == "arn:aws:sts::000000000000:assumed-role/AmazonSageMaker-ExecutionRole/clary"
    assert identity["UserId"].endswith(":clary")


def test_twelve_digits_are_an_account_of_their_own(server: Server) -> None:
    client = server.client("sts", aws_access_key_id="210987654321", aws_secret_access_key="test")
    assert client.get_caller_identity()["Arn"] == "arn:aws:iam::210987654321:root"
    wrong = server.client("sts", aws_access_key_id="210987654321", aws_secret_access_key="guess")
    assert refusal(wrong.get_caller_identity)["Code"] == "SignatureDoesNotMatch"


def test_assumed_role_may_do_what_the_role_may(server: Server, sts: Any, role: str) -> None:
    answer = sts.assume_role(RoleArn=role, RoleSessionName="me", DurationSeconds=900)
    name = role.rpartition("/")[2]
    assert answer["AssumedRoleUser"]["Arn"] == f"arn:aws:sts::000000000000:assumed-role/{name}/me"
    session = pair(answer["Credentials"])
    assert server.client("sts", **session).get_caller_identity()["Arn"] == answer["AssumedRoleUser"]["Arn"]
    iam = server.client("iam", **session)
    iam.list_users()
    error = refusal(iam.create_user, UserName="x")
    assert error["Code"] == "AccessDenied"
    assert f"assumed-role/{name}/me is not authorized to perform: iam:CreateUser" in error["Message"]


def test_session_policy_narrows(server: Server, sts: Any, role: str) -> None:
    statement = {"Effect": "Allow", "Action": ["iam:ListUsers", "iam:CreateUser"], "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    answer = sts.assume_role(RoleArn=role, RoleSessionName="me", Policy=policy)
    assert answer["PackedPolicySize"] > 0
    iam = server.client("iam", **pair(answer["Credentials"]))
    iam.list_users()
    assert "no session policy allows" in refusal(iam.list_roles)["Message"]
    assert refusal(iam.create_user, UserName="x")["Code"] == "AccessDenied"


def test_session_token_must_come_along(server: Server, sts: Any, role: str) -> None:
    session = pair(sts.assume_role(RoleArn=role, RoleSessionName="me")["Credentials"])
    for token in (None, "nonsense"):
        client = server.client("sts", **(session | {"aws_session_token": token}))
        assert refusal(client.get_caller_identity)["Code"] == "InvalidClientTokenId"


def test_roles_that_do_not_trust_the_caller(server: Server, sts: Any, unique: Unique) -> None:
    iam, name = server.client("iam"), unique("role")
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": "000000000000"},
                "Action": "sts:AssumeRole",
                "Condition": {"StringEquals": {"sts:ExternalId": "secret"}},
            }
        ],
    }
    arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    error = refusal(sts.assume_role, RoleArn=arn, RoleSessionName="me")
    assert error["Code"] == "AccessDenied"
    assert error["Message"].endswith(f"is not authorized to perform: sts:AssumeRole on resource: {arn}")
    sts.assume_role(RoleArn=arn, RoleSessionName="me", ExternalId="secret")
    missing = arn + "-missing"
    assert refusal(sts.assume_role, RoleArn=missing, RoleSessionName="me")["Code"] == "AccessDenied"
    too_long = refusal(sts.assume_role, RoleArn=arn, RoleSessionName="me", ExternalId="secret", DurationSeconds=7200)
    assert too_long["Code"] == "ValidationError"
    malformed = refusal(sts.assume_role, RoleArn=arn, RoleSessionName="me", ExternalId="secret", Policy="{}")
    assert malformed["Code"] == "MalformedPolicyDocument"


def test_session_token_of_a_root_and_a_user(server: Server, unique: Unique) -> None:
    root = server.client("sts", aws_access_key_id="123456789012", aws_secret_access_key="test")
    session = server.client("sts", **pair(root.get_session_token()["Credentials"]))
    assert session.get_caller_identity()["Arn"] == "arn:aws:iam::123456789012:root"
    iam, name = server.client("iam"), unique("user")
    iam.create_user(UserName=name)
    made = iam.create_access_key(UserName=name)["AccessKey"]
    user = server.client("sts", aws_access_key_id=made["AccessKeyId"], aws_secret_access_key=made["SecretAccessKey"])
    token = user.get_session_token(DurationSeconds=900)["Credentials"]
    assert server.client("sts", **pair(token)).get_caller_identity()["Arn"].endswith(f":user/{name}")


def test_access_key_info(server: Server, sts: Any) -> None:
    assert sts.get_access_key_info(AccessKeyId=server.access_key)["Account"] == "000000000000"
    assert refusal(sts.get_access_key_info, AccessKeyId="AKIA" + "X" * 16)["Code"] == "ValidationError"


def test_saml_and_web_identity_are_not_honoured(sts: Any) -> None:
    error = refusal(
        sts.assume_role_with_web_identity,
        RoleArn="arn:aws:iam::000000000000:role/x",
        RoleSessionName="me",
        WebIdentityToken="token",
    )
    assert error["Code"] in {"MissingAuthenticationToken", "NotImplementedException"}
