"""Groups and packages over a bare kernel: versions, tokens, approval, lists, deletion, what is refused."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from clary.kernel.core.errors import AwsError
from clary.support.registry.records import ModelPackage
from clary.support.registry.tests.conftest import ACCOUNT, DATA, IMAGE, REGION, SPECIFICATION, Packages, arn


def refused(packages: Packages, operation: str, **params: Any) -> AwsError:
    with pytest.raises(AwsError) as error:
        packages.call(operation, **params)
    return error.value


def test_versions_are_counted_and_never_given_twice(packages: Packages) -> None:
    packages.group("flights", ModelPackageGroupDescription="minutes in the air")
    assert packages.version("flights") == arn("flights/1")
    group = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:model-package-group/flights"
    assert packages.version(group) == arn("flights/2")
    packages.call("DeleteModelPackage", ModelPackageName=arn("flights/2"))
    assert packages.version("flights") == arn("flights/3")
    assert packages.listed(ModelPackageGroupName="flights", SortBy="Name") == ["flights/1", "flights/3"]
    refusal = refused(packages, "DeleteModelPackageGroup", ModelPackageGroupName="flights")
    assert refusal.code == "ConflictException"
    assert "still contains" in refusal.message
    for number in (1, 3):
        packages.call("DeleteModelPackage", ModelPackageName=f"flights/{number}")
    packages.call("DeleteModelPackageGroup", ModelPackageGroupName="flights")
    assert "does not exist" in refused(packages, "DescribeModelPackageGroup", ModelPackageGroupName="flights").message
    assert packages.call("ListModelPackageGroups")["ModelPackageGroupSummaryList"] == []


def test_a_version_is_described_as_it_was_made(packages: Packages) -> None:
    packages.group("flights")
    source = {"ContentType": "application/json", "S3Uri": "s3://any/statistics.json"}
    made = {
        "ModelPackageDescription": "gradient boosting",
        "ModelMetrics": {"ModelQuality": {"Statistics": source}},
        "DriftCheckBaselines": {"ModelQuality": {"Constraints": source}},
        "MetadataProperties": {"CommitId": "abc"},
        "CustomerMetadataProperties": {"team": "air"},
        "Domain": "MACHINE_LEARNING",
        "Task": "REGRESSION",
        "SamplePayloadUrl": "s3://any/payload.tar.gz",
        "SkipModelValidation": "All",
        "ModelLifeCycle": {"Stage": "Development", "StageStatus": "InProgress"},
        "SecurityConfig": {"KmsKeyId": "some-key"},
    }
    packages.version("flights", **made)
    described = packages.describe("flights/1")
    assert {name: described[name] for name in made} == made
    assert (described["ModelPackageName"], described["ModelPackageGroupName"]) == ("flights/1", "flights")
    assert (described["ModelPackageVersion"], described["ModelPackageStatus"]) == (1, "Completed")
    assert described["ModelApprovalStatus"] == "PendingManualApproval"
    assert described["ModelPackageStatusDetails"] == {"ValidationStatuses": [], "ImageScanStatuses": []}
    assert described["CreatedBy"]["IamIdentity"]["Arn"] == f"arn:aws:iam::{ACCOUNT}:root"
    [container] = described["InferenceSpecification"]["Containers"]
    assert container == {**SPECIFICATION["Containers"][0], "ModelDataETag": container["ModelDataETag"]}
    assert packages.describe(arn("flights/1")) == described
    found = packages.call("Search", Resource="ModelPackage")["Results"][0]["ModelPackage"]
    assert (found["ModelPackageArn"], found["ModelMetrics"]) == (arn("flights/1"), made["ModelMetrics"])
    expression = {"Filters": [{"Name": "ModelPackageGroupName", "Operator": "Equals", "Value": "flights"}]}
    assert len(packages.call("Search", Resource="ModelPackageGroup", SearchExpression=expression)["Results"]) == 1


def test_a_package_of_its_own_has_no_version_and_no_approval(packages: Packages) -> None:
    asked = {"ModelPackageName": "alone", "InferenceSpecification": SPECIFICATION}
    packages.call("CreateModelPackage", **asked, Tags=[{"Key": "a", "Value": "b"}], ModelApprovalStatus="Approved")
    described = packages.describe("alone")
    assert described["ModelPackageArn"] == arn("alone")
    assert not {"ModelApprovalStatus", "ModelPackageVersion", "ModelPackageGroupName"} & described.keys()
    assert packages.call("ListTags", ResourceArn=arn("alone"))["Tags"] == [{"Key": "a", "Value": "b"}]
    assert "already exists" in refused(packages, "CreateModelPackage", **asked).message
    refusal = refused(packages, "UpdateModelPackage", ModelPackageArn=arn("alone"), ModelApprovalStatus="Approved")
    assert "no version" in refusal.message
    packages.call("DeleteModelPackage", ModelPackageName="alone")
    packages.call("CreateModelPackage", **asked)
    assert packages.call("ListTags", ResourceArn=arn("alone"))["Tags"] == []


def test_a_token_makes_one_package(packages: Packages) -> None:
    packages.group("flights")
    first = packages.version("flights", ClientToken="once")
    assert packages.version("flights", ClientToken="once") == first
    assert packages.version("flights", ClientToken="twice") == arn("flights/2")
    with pytest.raises(AwsError, match="ClientToken once was used for another request"):
        packages.version("flights", ClientToken="once", Domain="OTHER")
    packages.update("flights/1", ClientToken="update", CustomerMetadataProperties={"a": "1"})
    packages.update("flights/1", CustomerMetadataProperties={"a": "2"})
    packages.update("flights/1", ClientToken="update", CustomerMetadataProperties={"a": "1"})
    assert packages.describe("flights/1")["CustomerMetadataProperties"] == {"a": "2"}
    asked = {"ModelPackageName": "alone", "InferenceSpecification": SPECIFICATION, "ClientToken": "alone"}
    assert packages.call("CreateModelPackage", **asked) == packages.call("CreateModelPackage", **asked)
    packages.call("DeleteModelPackage", ModelPackageName="flights/1")
    assert packages.version("flights", ClientToken="once") == arn("flights/3")


def test_updates_change_what_they_name(packages: Packages) -> None:
    packages.group("flights")
    packages.version("flights", CustomerMetadataProperties={"a": "1", "b": "2"})
    packages.update("flights/1", ModelApprovalStatus="Rejected", ApprovalDescription="too slow")
    described = packages.describe("flights/1")
    assert (described["ModelApprovalStatus"], described["ApprovalDescription"]) == ("Rejected", "too slow")
    assert described["LastModifiedBy"] == described["CreatedBy"]
    packages.update("flights/1", ModelApprovalStatus="Approved")
    assert "ApprovalDescription" not in packages.describe("flights/1")
    packages.update(
        "flights/1", CustomerMetadataProperties={"c": "3"}, CustomerMetadataPropertiesToRemove=["a", "none"]
    )
    packages.update(
        "flights/1", ModelLifeCycle={"Stage": "Production", "StageStatus": "Live"}, SourceUri="s3://any/run"
    )
    other = {**SPECIFICATION, "SupportedContentTypes": ["text/libsvm"]}
    added = {"Name": "compiled", **SPECIFICATION}
    packages.update("flights/1", AdditionalInferenceSpecificationsToAdd=[added])
    packages.update("flights/1", InferenceSpecification=other)
    described = packages.describe("flights/1")
    assert described["CustomerMetadataProperties"] == {"b": "2", "c": "3"}
    assert described["InferenceSpecification"]["SupportedContentTypes"] == ["text/libsvm"]
    assert [one["Name"] for one in described["AdditionalInferenceSpecifications"]] == ["compiled"]
    assert (described["SourceUri"], described["ModelLifeCycle"]["Stage"]) == ("s3://any/run", "Production")
    with pytest.raises(AwsError, match="compiled is there more than once"):
        packages.update("flights/1", AdditionalInferenceSpecificationsToAdd=[added])


def test_approvals_are_told_and_other_updates_are_not(packages: Packages, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[str | None, str]] = []
    observers = packages.platform._observers
    monkeypatch.setattr(
        type(observers), "notes", lambda _, row, was: told.append((was, row.status)) or (), raising=True
    )
    packages.group("flights")
    told.clear()
    packages.version("flights")
    assert told == [(None, "Completed")]
    packages.update("flights/1", CustomerMetadataProperties={"a": "1"})
    assert len(told) == 1
    packages.update("flights/1", ModelApprovalStatus="Approved")
    packages.update("flights/1", ModelApprovalStatus="Approved")
    assert told[1:] == [("Completed", "Completed")]


def test_packages_are_listed_by_what_they_are(packages: Packages) -> None:
    for group in ("flights", "trains"):
        packages.group(group)
        for _ in range(11):
            packages.version(group)
    packages.update("flights/2", ModelApprovalStatus="Approved")
    packages.call("CreateModelPackage", ModelPackageName="alone-3", InferenceSpecification=SPECIFICATION)
    assert packages.listed() == ["alone-3"]
    numbered = [f"flights/{number}" for number in range(1, 12)]
    assert packages.listed(ModelPackageGroupName="flights", SortBy="Name", MaxResults=3) == numbered
    assert packages.listed(ModelPackageGroupName="flights", SortOrder="Descending") == numbered[::-1]
    assert packages.listed(ModelPackageType="Versioned", ModelApprovalStatus="Approved") == ["flights/2"]
    assert packages.listed(ModelPackageType="Both", NameContains="3") == ["alone-3"]
    assert len(packages.listed(ModelPackageType="Both", MaxResults=7)) == 23
    assert packages.listed(ModelPackageType="Both", CreationTimeAfter=4e9) == []
    groups = packages.call("ListModelPackageGroups", NameContains="train")["ModelPackageGroupSummaryList"]
    assert [group["ModelPackageGroupName"] for group in groups] == ["trains"]


def test_several_are_described_at_once(packages: Packages) -> None:
    packages.group("flights")
    packages.version("flights")
    packages.call("CreateModelPackage", ModelPackageName="alone", InferenceSpecification=SPECIFICATION)
    asked = [arn("flights/1"), arn("flights/2"), arn("alone")]
    answer = packages.call("BatchDescribeModelPackage", ModelPackageArnList=asked)
    assert answer["ModelPackageSummaries"].keys() == {asked[0]}
    assert answer["ModelPackageSummaries"][asked[0]]["ModelPackageVersion"] == 1
    assert answer["BatchDescribeModelPackageErrorMap"].keys() == set(asked[1:])


def test_a_model_or_a_package_may_be_the_source(packages: Packages) -> None:
    packages.group("flights")
    container = {"Image": IMAGE, "ModelDataUrl": DATA, "Environment": {"A": "b"}}
    packages.call("CreateModel", ModelName="trained", PrimaryContainer=container)
    source = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:model/trained"
    packages.call("CreateModelPackage", ModelPackageGroupName="flights", SourceUri=source)
    packages.call("CreateModelPackage", ModelPackageGroupName="flights", SourceUri=arn("flights/1"))
    for number in (1, 2):
        [taken] = packages.describe(f"flights/{number}")["InferenceSpecification"]["Containers"]
        assert {name: taken[name] for name in container} == container
    refusal = refused(packages, "CreateModelPackage", ModelPackageGroupName="flights", SourceUri=arn("flights/9"))
    assert "does not exist" in refusal.message
    packages.version("flights")
    packages.update("flights/3", SourceUri=source)
    [taken] = packages.describe("flights/3")["InferenceSpecification"]["Containers"]
    assert taken["Environment"] == {"A": "b"}
    with pytest.raises(AwsError, match="cannot be given together"):
        packages.update("flights/3", SourceUri=source, InferenceSpecification=SPECIFICATION)
    foreign = source.replace(ACCOUNT, "111122223333")
    refusal = refused(packages, "CreateModelPackage", ModelPackageGroupName="flights", SourceUri=foreign)
    assert "is not a model of account" in refusal.message


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"ModelPackageName": "both"}, "Cannot determine which one"),
        ({"ModelPackageGroupName": "missing"}, "ModelPackageGroup arn:.*missing does not exist"),
        ({"Tags": [{"Key": "a", "Value": "b"}]}, "tags of the group"),
        ({"CertifyForMarketplace": True}, "Marketplace"),
        ({"ManagedStorageType": "Restricted"}, "ManagedStorageType"),
        ({"SourceUri": "s3://any/run"}, "cannot be given together"),
        (
            {"SourceAlgorithmSpecification": {"SourceAlgorithms": [{"AlgorithmName": "any"}]}},
            "SourceAlgorithmSpecification",
        ),
        (
            {"InferenceSpecification": {"Containers": [{"Image": IMAGE, "ModelDataUrl": f"{DATA}.missing"}]}},
            "Could not find model data at s3://registry-models/model.tar.gz.missing",
        ),
        (
            {"AdditionalInferenceSpecifications": [{"Name": "one", **SPECIFICATION}] * 2},
            "one is there more than once",
        ),
    ],
)
def test_what_cannot_be_honoured_is_refused(packages: Packages, members: dict[str, Any], said: str) -> None:
    packages.group("flights")
    with pytest.raises(AwsError, match=said):
        packages.call(
            "CreateModelPackage",
            **{"ModelPackageGroupName": "flights", "InferenceSpecification": SPECIFICATION, **members},
        )
    assert packages.platform.records(ModelPackage).count() == 0


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("flights/7", "ModelPackage arn:aws:sagemaker:us-east-1:000000000000:model-package/flights/7 does not exist."),
        (arn("x").replace("us-east-1", "eu-west-1"), "ARN should be scoped to correct region"),
        (arn("x").replace(ACCOUNT, "111122223333"), "no resource-based policy allows the action"),
        (arn("x").replace("model-package", "model"), "not the ARN of a model-package"),
    ],
)
def test_names_that_lead_nowhere_are_refused(packages: Packages, name: str, said: str) -> None:
    for operation in ("DescribeModelPackage", "DeleteModelPackage"):
        assert said in refused(packages, operation, ModelPackageName=name).message


def test_versions_that_are_created_at_once_get_numbers_of_their_own(packages: Packages) -> None:
    packages.group("flights")
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: packages.version("flights"), range(16)))
        repeated = set(pool.map(lambda _: packages.version("flights", ClientToken="once"), range(8)))
    assert sorted(made) == sorted(arn(f"flights/{number}") for number in range(1, 17))
    assert repeated == {arn("flights/17")}
