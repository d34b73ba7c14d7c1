"""Resource policies of groups: what they must be, what they deny at home, and what they open to other accounts."""

import json
from dataclasses import replace
from typing import Any

import pytest

from clary.kernel.auth.policies import Permissions, compile_document
from clary.kernel.auth.principals import Principal
from clary.kernel.core.errors import AwsError
from clary.support.registry.tests.conftest import ACCOUNT, REGION, Packages, arn

OTHER = "111122223333"
GROUP = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:model-package-group/flights"


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def statement(effect: str, principal: str, *actions: str) -> dict[str, Any]:
    resources = [GROUP, arn("flights/*")]
    return {"Effect": effect, "Principal": {"AWS": principal}, "Action": list(actions), "Resource": resources}


def test_a_policy_is_kept_until_it_is_deleted(packages: Packages) -> None:
    packages.group("flights")
    document = policy(statement("Allow", OTHER, "sagemaker:DescribeModelPackage"))
    named = {"ModelPackageGroupName": "flights"}
    with pytest.raises(AwsError, match="has no resource policy"):
        packages.call("GetModelPackageGroupPolicy", **named)
    assert packages.call("PutModelPackageGroupPolicy", **named, ResourcePolicy=document) == {
        "ModelPackageGroupArn": GROUP
    }
    assert packages.call("GetModelPackageGroupPolicy", **named) == {"ResourcePolicy": document}
    packages.call("DeleteModelPackageGroupPolicy", **named)
    with pytest.raises(AwsError, match="has no resource policy"):
        packages.call("DeleteModelPackageGroupPolicy", **named)
    nobody = {"Effect": "Allow", "Action": "sagemaker:*", "Resource": GROUP}
    for wrong in ("{", "[]", policy(), policy({**nobody, "Effect": "Perhaps"}), policy(nobody)):
        with pytest.raises(AwsError, match="The resource policy is not valid"):
            packages.call("PutModelPackageGroupPolicy", **named, ResourcePolicy=wrong)
    with pytest.raises(AwsError, match="does not exist"):
        packages.call("PutModelPackageGroupPolicy", ModelPackageGroupName="none", ResourcePolicy=document)


def test_a_policy_opens_a_group_to_another_account_and_closes_it_at_home(packages: Packages) -> None:
    platform = packages.platform
    packages.group("flights")
    packages.version("flights")
    everything = (compile_document(policy({"Effect": "Allow", "Action": "*", "Resource": "*"}), "all"),)

    def as_user(account: str, operation: str, **params: Any) -> dict[str, Any]:
        user = Principal("user", account, name="ada", permissions=Permissions(everything))
        ctx = replace(platform.acting_as_root(account, REGION, "sagemaker", operation), principal=user)
        return platform.registry.call(ctx, params)

    with pytest.raises(AwsError, match="no resource-based policy allows the action"):
        as_user(OTHER, "DescribeModelPackage", ModelPackageName=arn("flights/1"))
    document = policy(
        statement("Allow", OTHER, "sagemaker:*"),
        statement("Deny", f"arn:aws:iam::{ACCOUNT}:user/ada", "sagemaker:UpdateModelPackage"),
    )
    packages.call("PutModelPackageGroupPolicy", ModelPackageGroupName="flights", ResourcePolicy=document)
    assert as_user(OTHER, "DescribeModelPackageGroup", ModelPackageGroupName=GROUP)["ModelPackageGroupArn"] == GROUP
    as_user(OTHER, "UpdateModelPackage", ModelPackageArn=arn("flights/1"), ModelApprovalStatus="Approved")
    [listed] = as_user(OTHER, "ListModelPackages", ModelPackageGroupName=GROUP)["ModelPackageSummaryList"]
    assert (listed["ModelPackageArn"], listed["ModelApprovalStatus"]) == (arn("flights/1"), "Approved")
    described = as_user(OTHER, "DescribeModelPackage", ModelPackageName=arn("flights/1"))
    assert described["LastModifiedBy"]["IamIdentity"]["Arn"] == f"arn:aws:iam::{OTHER}:user/ada"
    with pytest.raises(AwsError, match="not authorized to perform: sagemaker:DeleteModelPackage"):
        as_user(OTHER, "DeleteModelPackage", ModelPackageName=arn("flights/1"))
    assert as_user(ACCOUNT, "DescribeModelPackage", ModelPackageName="flights/1")["ModelPackageVersion"] == 1
    with pytest.raises(AwsError, match="explicit deny in a resource-based policy"):
        as_user(ACCOUNT, "UpdateModelPackage", ModelPackageArn=arn("flights/1"), ModelApprovalStatus="Rejected")
