"""IAM through a real client: what is created is enforced, and what is simulated is what is enforced."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from clary.testing import Server

TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
Unique = Callable[[str], str]


def allow(*actions: str, resource: str = "*") -> str:
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": resource}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


@pytest.fixture
def iam(server: Server) -> Any:
    return server.client("iam")


def code_of(call: Callable[..., Any], **arguments: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return str(caught.value.response["Error"]["Code"])


def test_role_from_birth_to_death(iam: Any, unique: Unique) -> None:
    name = unique("role")
    role = iam.create_role(
        RoleName=name,
        Path="/team/",
        AssumeRolePolicyDocument=json.dumps(TRUST),
        Description="for tests",
        MaxSessionDuration=7200,
        Tags=[{"Key": "team", "Value": "a"}],
    )["Role"]
    assert role["Arn"] == f"arn:aws:iam::000000000000:role/team/{name}"
    assert role["RoleId"].startswith("AROA")
    found = iam.get_role(RoleName=name)["Role"]
    assert found["AssumeRolePolicyDocument"] == TRUST
    assert (found["Description"], found["MaxSessionDuration"]) == ("for tests", 7200)
    assert found["Tags"] == [{"Key": "team", "Value": "a"}]
    assert code_of(iam.create_role, RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST)) == "EntityAlreadyExists"
    iam.tag_role(RoleName=name, Tags=[{"Key": "team", "Value": "b"}, {"Key": "x", "Value": "y"}])
    iam.untag_role(RoleName=name, TagKeys=["x"])
    assert iam.list_role_tags(RoleName=name)["Tags"] == [{"Key": "team", "Value": "b"}]
    iam.put_role_policy(RoleName=name, PolicyName="inline", PolicyDocument=allow("s3:*"))
    assert iam.list_role_policies(RoleName=name)["PolicyNames"] == ["inline"]
    assert iam.get_role_policy(RoleName=name, PolicyName="inline")["PolicyDocument"] == json.loads(allow("s3:*"))
    managed = "arn:aws:iam::aws:policy/AmazonSageMakerFullAccess"
    iam.attach_role_policy(RoleName=name, PolicyArn=managed)
    assert iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"] == [
        {"PolicyName": "AmazonSageMakerFullAccess", "PolicyArn": managed}
    ]
    assert code_of(iam.delete_role, RoleName=name) == "DeleteConflict"
    iam.detach_role_policy(RoleName=name, PolicyArn=managed)
    assert code_of(iam.delete_role, RoleName=name) == "DeleteConflict"
    iam.delete_role_policy(RoleName=name, PolicyName="inline")
    listed = [
        role["RoleName"]
        for page in iam.get_paginator("list_roles").paginate(PathPrefix="/team/")
        for role in page["Roles"]
    ]
    assert name in listed
    iam.delete_role(RoleName=name)
    assert code_of(iam.get_role, RoleName=name) == "NoSuchEntity"


def test_malformed_policies_are_refused(iam: Any, unique: Unique) -> None:
    name = unique("role")
    document = "{'Version': '2012-10-17'}"
    assert code_of(iam.create_role, RoleName=name, AssumeRolePolicyDocument=document) == "MalformedPolicyDocument"
    assert code_of(iam.create_policy, PolicyName=name, PolicyDocument="{}") == "MalformedPolicyDocument"


def test_default_role_is_there_and_stays(iam: Any) -> None:
    role = iam.get_role(RoleName="AmazonSageMaker-ExecutionRole")["Role"]
    assert role["Arn"] == "arn:aws:iam::000000000000:role/service-role/AmazonSageMaker-ExecutionRole"
    assert "sagemaker.amazonaws.com" in json.dumps(role["AssumeRolePolicyDocument"])
    assert code_of(iam.delete_role, RoleName="AmazonSageMaker-ExecutionRole") == "UnmodifiableEntity"


def test_lists_are_cut_and_continued(iam: Any, unique: Unique) -> None:
    path = f"/{unique('path')}/"
    names = [unique(f"user{index}") for index in range(5)]
    for name in names:
        iam.create_user(UserName=name, Path=path)
    pages = list(iam.get_paginator("list_users").paginate(PathPrefix=path, PaginationConfig={"PageSize": 2}))
    assert [len(page["Users"]) for page in pages] == [2, 2, 1]
    assert sorted(user["UserName"] for page in pages for user in page["Users"]) == sorted(names)


def test_user_may_do_what_policies_allow(server: Server, iam: Any, unique: Unique) -> None:
    name = unique("user")
    iam.create_user(UserName=name)
    made = iam.create_access_key(UserName=name)["AccessKey"]
    pair = {"aws_access_key_id": made["AccessKeyId"], "aws_secret_access_key": made["SecretAccessKey"]}
    own = server.client("iam", **pair)
    sts = server.client("sts", **pair)
    assert sts.get_caller_identity()["Arn"] == f"arn:aws:iam::000000000000:user/{name}"
    assert code_of(own.get_user) == "AccessDenied"
    simulated = iam.simulate_principal_policy(
        PolicySourceArn=f"arn:aws:iam::000000000000:user/{name}", ActionNames=["iam:GetUser", "iam:ListUsers"]
    )["EvaluationResults"]
    assert [result["EvalDecision"] for result in simulated] == ["implicitDeny", "implicitDeny"]

    granted = unique("granted")
    iam.create_user(UserName=granted)
    iam.put_user_policy(UserName=granted, PolicyName="self", PolicyDocument=allow("iam:Get*"))
    made = iam.create_access_key(UserName=granted)["AccessKey"]
    pair = {"aws_access_key_id": made["AccessKeyId"], "aws_secret_access_key": made["SecretAccessKey"]}
    other = server.client("iam", **pair)
    assert other.get_user()["User"]["UserName"] == granted
    with pytest.raises(ClientError) as caught:
        other.delete_user(UserName=name)
    error = caught.value.response
    assert error["ResponseMetadata"]["HTTPStatusCode"] == 403
    assert error["Error"]["Message"] == (
        f"User: arn:aws:iam::000000000000:user/{granted} is not authorized to perform: iam:DeleteUser on resource: "
        f"arn:aws:iam::000000000000:user/{name} because no identity-based policy allows the iam:DeleteUser action"
    )


def test_groups_give_their_members_policies(server: Server, iam: Any, unique: Unique) -> None:
    user, group = unique("user"), unique("group")
    iam.create_user(UserName=user)
    iam.create_group(GroupName=group)
    iam.put_group_policy(GroupName=group, PolicyName="read", PolicyDocument=allow("iam:ListUsers"))
    iam.add_user_to_group(GroupName=group, UserName=user)
    assert [member["UserName"] for member in iam.get_group(GroupName=group)["Users"]] == [user]
    assert [found["GroupName"] for found in iam.list_groups_for_user(UserName=user)["Groups"]] == [group]
    source = f"arn:aws:iam::000000000000:user/{user}"
    simulated = iam.simulate_principal_policy(PolicySourceArn=source, ActionNames=["iam:ListUsers", "iam:DeleteUser"])
    assert [result["EvalDecision"] for result in simulated["EvaluationResults"]] == ["allowed", "implicitDeny"]
    assert code_of(iam.delete_group, GroupName=group) == "DeleteConflict"
    assert code_of(iam.delete_user, UserName=user) == "DeleteConflict"
    iam.remove_user_from_group(GroupName=group, UserName=user)
    iam.delete_group_policy(GroupName=group, PolicyName="read")
    iam.delete_group(GroupName=group)
    iam.delete_user(UserName=user)


def test_access_keys(server: Server, iam: Any, unique: Unique) -> None:
    name = unique("user")
    iam.create_user(UserName=name)
    keys = [iam.create_access_key(UserName=name)["AccessKey"] for _ in range(2)]
    assert code_of(iam.create_access_key, UserName=name) == "LimitExceeded"
    listed = iam.list_access_keys(UserName=name)["AccessKeyMetadata"]
    assert {key["AccessKeyId"] for key in listed} == {key["AccessKeyId"] for key in keys}
    assert all("SecretAccessKey" not in key for key in listed)
    iam.update_access_key(UserName=name, AccessKeyId=keys[0]["AccessKeyId"], Status="Inactive")
    pair = {"aws_access_key_id": keys[0]["AccessKeyId"], "aws_secret_access_key": keys[0]["SecretAccessKey"]}
    assert code_of(server.client("sts", **pair).get_caller_identity) == "InvalidClientTokenId"
    assert code_of(iam.delete_user, UserName=name) == "DeleteConflict"
    for key in keys:
        iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])
    iam.delete_user(UserName=name)


def test_managed_policy_versions(iam: Any, unique: Unique) -> None:
    name = unique("policy")
    policy = iam.create_policy(PolicyName=name, PolicyDocument=allow("s3:GetObject"), Description="d")["Policy"]
    arn = policy["Arn"]
    assert arn == f"arn:aws:iam::000000000000:policy/{name}"
    version = iam.create_policy_version(PolicyArn=arn, PolicyDocument=allow("s3:PutObject"))["PolicyVersion"]
    assert (version["VersionId"], version["IsDefaultVersion"]) == ("v2", False)
    role = unique("role")
    iam.create_role(RoleName=role, AssumeRolePolicyDocument=json.dumps(TRUST))
    iam.attach_role_policy(RoleName=role, PolicyArn=arn)
    source = f"arn:aws:iam::000000000000:role/{role}"

    def decisions() -> list[str]:
        results = iam.simulate_principal_policy(PolicySourceArn=source, ActionNames=["s3:GetObject", "s3:PutObject"])
        return [result["EvalDecision"] for result in results["EvaluationResults"]]

    assert decisions() == ["allowed", "implicitDeny"]
    iam.set_default_policy_version(PolicyArn=arn, VersionId="v2")
    assert decisions() == ["implicitDeny", "allowed"]
    assert iam.get_policy(PolicyArn=arn)["Policy"]["AttachmentCount"] == 1
    assert iam.list_entities_for_policy(PolicyArn=arn)["PolicyRoles"][0]["RoleName"] == role
    assert code_of(iam.delete_policy_version, PolicyArn=arn, VersionId="v2") == "DeleteConflict"
    assert code_of(iam.delete_policy, PolicyArn=arn) == "DeleteConflict"
    iam.detach_role_policy(RoleName=role, PolicyArn=arn)
    iam.delete_policy_version(PolicyArn=arn, VersionId="v1")
    iam.delete_policy(PolicyArn=arn)
    assert code_of(iam.get_policy, PolicyArn=arn) == "NoSuchEntity"


def test_aws_managed_policies(iam: Any) -> None:
    arn = "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"
    assert iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"] == "v1"
    document = iam.get_policy_version(PolicyArn=arn, VersionId="v1")["PolicyVersion"]["Document"]
    assert document["Statement"][0]["Effect"] == "Allow"
    pages = iam.get_paginator("list_policies").paginate(Scope="AWS", PaginationConfig={"PageSize": 10})
    assert arn in {policy["Arn"] for page in pages for policy in page["Policies"]}


def test_simulate_custom_policy(iam: Any) -> None:
    document = json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Action": "s3:GetObject",
                    "Resource": "arn:aws:s3:::b/*",
                    "Condition": {"StringEquals": {"aws:RequestedRegion": "eu-west-1"}},
                }
            ],
        }
    )
    ask = {"PolicyInputList": [document], "ActionNames": ["s3:GetObject"], "ResourceArns": ["arn:aws:s3:::b/k"]}
    [result] = iam.simulate_custom_policy(**ask)["EvaluationResults"]
    assert (result["EvalDecision"], result["MissingContextValues"]) == ("implicitDeny", ["aws:RequestedRegion"])
    entry = {"ContextKeyName": "aws:RequestedRegion", "ContextKeyType": "string", "ContextKeyValues": ["eu-west-1"]}
    [result] = iam.simulate_custom_policy(**ask, ContextEntries=[entry])["EvaluationResults"]
    assert result["EvalDecision"] == "allowed"
    assert result["MatchedStatements"][0]["SourcePolicyId"] == "PolicyInputList.1"


def test_get_user_without_a_name(server: Server, iam: Any) -> None:
    assert code_of(iam.get_user) == "ValidationError"
    root = server.client("iam", aws_access_key_id="123456789012", aws_secret_access_key="test")
    assert root.get_user()["User"]["Arn"] == "arn:aws:iam::123456789012:root"


def test_accounts_do_not_see_each_other(server: Server, iam: Any, unique: Unique) -> None:
    name = unique("user")
    iam.create_user(UserName=name)
    other = server.client("iam", aws_access_key_id="123456789012", aws_secret_access_key="test")
    assert code_of(other.get_user, UserName=name) == "NoSuchEntity"


def test_account_alias_and_summary(iam: Any, unique: Unique) -> None:
    alias = unique("alias")
    iam.create_account_alias(AccountAlias=alias)
    assert iam.list_account_aliases()["AccountAliases"] == [alias]
    iam.delete_account_alias(AccountAlias=alias)
    assert iam.list_account_aliases()["AccountAliases"] == []
    assert iam.get_account_summary()["SummaryMap"]["Roles"] >= 1
