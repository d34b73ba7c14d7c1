"""Feature groups through a client: their rules, and how they come and go."""

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from clary.systems.feature_store.tests.conftest import DEFINITIONS, values
from clary.testing import Server, eventually

ROLE = "arn:aws:iam::000000000000:role/any"


def test_a_group_tells_where_its_offline_store_is(
    server: Server, sagemaker: Any, group: Callable[..., str], unique: Callable[[str], str]
) -> None:
    bucket = unique("features")
    server.client("s3").create_bucket(Bucket=bucket)
    offline = {"S3StorageConfig": {"S3Uri": f"s3://{bucket}/deep/down/"}}
    name = group(OfflineStoreConfig=offline, RoleArn=ROLE, Description="about")
    found = sagemaker.describe_feature_group(FeatureGroupName=name)
    created = int(found["CreationTime"].timestamp())
    assert found["OfflineStoreConfig"]["S3StorageConfig"]["ResolvedOutputS3Uri"] == (
        f"s3://{bucket}/deep/down/000000000000/sagemaker/us-east-1/offline-store/{name}-{created}/data"
    )
    assert found["OfflineStoreConfig"]["DataCatalogConfig"] == {
        "Catalog": "AwsDataCatalog",
        "Database": "sagemaker_featurestore",
        "TableName": f"{name.replace('-', '_')}_{created}",
    }
    assert found["OfflineStoreStatus"] == {"Status": "Active"}
    assert found["OnlineStoreConfig"] == {"EnableOnlineStore": True, "StorageType": "Standard"}
    assert found["RoleArn"] == ROLE
    assert sagemaker.describe_feature_group(FeatureGroupName=found["FeatureGroupArn"])["Description"] == "about"


def test_a_group_whose_bucket_is_missing_fails(sagemaker: Any, unique: Callable[[str], str]) -> None:
    name = unique("group")
    sagemaker.create_feature_group(
        FeatureGroupName=name,
        RecordIdentifierFeatureName="id",
        EventTimeFeatureName="at",
        FeatureDefinitions=DEFINITIONS,
        OfflineStoreConfig={"S3StorageConfig": {"S3Uri": f"s3://{unique('missing')}"}},
        RoleArn=ROLE,
    )

    def found() -> Any:
        return sagemaker.describe_feature_group(FeatureGroupName=name)

    eventually(lambda: found()["FeatureGroupStatus"] == "CreateFailed")
    assert "does not exist" in found()["FailureReason"]
    sagemaker.delete_feature_group(FeatureGroupName=name)

    def gone() -> bool:
        with pytest.raises(ClientError) as refused:
            found()
        return bool(refused.value.response["Error"]["Code"] == "ResourceNotFound")

    eventually(lambda: not sagemaker.list_feature_groups(NameContains=name)["FeatureGroupSummaries"])
    assert gone()


def test_a_group_is_updated_one_thing_at_a_time(sagemaker: Any, runtime: Any, group: Callable[..., str]) -> None:
    name = group()
    more = [{"FeatureName": "colour", "FeatureType": "String"}]
    sagemaker.update_feature_group(FeatureGroupName=name, FeatureAdditions=more)
    runtime.put_record(FeatureGroupName=name, Record=values(id="7", at="1", colour="red"))
    ttl = {"Unit": "Days", "Value": 1}
    sagemaker.update_feature_group(
        FeatureGroupName=name, OnlineStoreConfig={"TtlDuration": ttl, "StorageType": "Standard_V2"}
    )
    found = sagemaker.describe_feature_group(FeatureGroupName=name)
    assert found["FeatureDefinitions"] == [*DEFINITIONS, *more]
    assert found["OnlineStoreConfig"] == {"EnableOnlineStore": True, "StorageType": "Standard_V2", "TtlDuration": ttl}
    assert found["LastUpdateStatus"] == {"Status": "Successful"}
    runtime.update_record(FeatureGroupName=name, RecordIdentifierValueAsString="7", Features=values(colour="blue"))
    sagemaker.update_feature_group(FeatureGroupName=name, OnlineStoreConfig={"TtlDuration": {}})
    provisioned = {
        "ThroughputMode": "Provisioned",
        "ProvisionedReadCapacityUnits": 5,
        "ProvisionedWriteCapacityUnits": 6,
    }
    sagemaker.update_feature_group(FeatureGroupName=name, ThroughputConfig=provisioned)
    sagemaker.update_feature_group(FeatureGroupName=name, ThroughputConfig={"ProvisionedReadCapacityUnits": 7})
    found = sagemaker.describe_feature_group(FeatureGroupName=name)
    assert "TtlDuration" not in found["OnlineStoreConfig"]
    assert found["ThroughputConfig"] == {**provisioned, "ProvisionedReadCapacityUnits": 7}
    sagemaker.update_feature_group(FeatureGroupName=name, ThroughputConfig={"ThroughputMode": "OnDemand"})
    sagemaker.update_feature_group(FeatureGroupName=name, ThroughputConfig=provisioned)
    for wrong in (
        {"ThroughputConfig": {"ThroughputMode": "OnDemand"}},
        {"OnlineStoreConfig": {"StorageType": "Standard"}},
        {"FeatureAdditions": more},
        {"FeatureAdditions": [{"FeatureName": "Write_Time", "FeatureType": "String"}]},
        {"FeatureAdditions": more, "OnlineStoreConfig": {"TtlDuration": ttl}},
        {},
    ):
        assert refused(sagemaker.update_feature_group, FeatureGroupName=name, **wrong) == "ValidationException", wrong


def test_features_are_described_and_found(
    sagemaker: Any, group: Callable[..., str], unique: Callable[[str], str]
) -> None:
    name, word = group(Tags=[{"Key": "team", "Value": "blue"}]), unique("word")
    about = {"FeatureGroupName": name, "FeatureName": "share"}
    additions = [{"Key": "owner", "Value": word}, {"Key": "unit", "Value": "percent"}]
    sagemaker.update_feature_metadata(**about, Description="of all", ParameterAdditions=additions)
    sagemaker.update_feature_metadata(**about, ParameterRemovals=["unit"])
    found = sagemaker.describe_feature_metadata(**about)
    assert (found["FeatureType"], found["Description"]) == ("Fractional", "of all")
    assert found["Parameters"] == additions[:1]
    for resource, property_, value in (
        ("FeatureMetadata", "Parameters.owner", word),
        ("FeatureMetadata", "AllParameters", word),
        ("FeatureGroup", "FeatureGroupName", name),
    ):
        expression = {"Filters": [{"Name": property_, "Operator": "Equals", "Value": value}]}
        results = sagemaker.search(Resource=resource, SearchExpression=expression)["Results"]
        assert [result[resource]["FeatureGroupName"] for result in results] == [name]
    assert results[0]["FeatureGroup"]["Tags"] == [{"Key": "team", "Value": "blue"}]
    assert refused(sagemaker.describe_feature_metadata, **{**about, "FeatureName": "none"}) == "ResourceNotFound"


def test_groups_that_cannot_be_are_refused(sagemaker: Any, group: Callable[..., str]) -> None:
    name = group()
    sound = {
        "FeatureGroupName": "unsound",
        "RecordIdentifierFeatureName": "id",
        "EventTimeFeatureName": "at",
        "FeatureDefinitions": DEFINITIONS,
        "OnlineStoreConfig": {"EnableOnlineStore": True},
    }
    assert refused(sagemaker.create_feature_group, **{**sound, "FeatureGroupName": name}) == "ResourceInUse"
    listed = {"FeatureName": "list", "FeatureType": "String", "CollectionType": "List"}
    vector = {"FeatureName": "vector", "FeatureType": "Fractional", "CollectionType": "Vector"}
    config = {"CollectionConfig": {"VectorConfig": {"Dimension": 3}}}
    in_memory = {"OnlineStoreConfig": {"EnableOnlineStore": True, "StorageType": "InMemory"}}
    offline = {"S3StorageConfig": {"S3Uri": "s3://somewhere/"}}
    for wrong in (
        {"RecordIdentifierFeatureName": "none"},
        {"RecordIdentifierFeatureName": "share"},
        {"EventTimeFeatureName": "count"},
        {"RecordIdentifierFeatureName": "id", "EventTimeFeatureName": "id"},
        {"FeatureDefinitions": [*DEFINITIONS, DEFINITIONS[0]]},
        {"FeatureDefinitions": [*DEFINITIONS, {"FeatureName": "is_deleted", "FeatureType": "String"}]},
        {"FeatureDefinitions": [*DEFINITIONS, listed]},
        {"FeatureDefinitions": [*DEFINITIONS, vector], **in_memory},
        {"FeatureDefinitions": [*DEFINITIONS, {**listed, **config}], **in_memory},
        {"FeatureDefinitions": [*DEFINITIONS, vector | config, vector | config | {"FeatureName": "v"}], **in_memory},
        {"FeatureDefinitions": [*DEFINITIONS, vector | config | {"FeatureType": "Integral"}], **in_memory},
        {"OnlineStoreConfig": {"EnableOnlineStore": False}},
        {"OnlineStoreConfig": {"EnableOnlineStore": True, "TtlDuration": {"Unit": "Days"}}},
        {"OfflineStoreConfig": offline},
        {"ThroughputConfig": {"ThroughputMode": "OnDemand", "ProvisionedReadCapacityUnits": 1}},
        {"ThroughputConfig": {"ThroughputMode": "Provisioned", "ProvisionedReadCapacityUnits": 1}},
    ):
        assert refused(sagemaker.create_feature_group, **{**sound, **wrong}) == "ValidationException", wrong


def refused(call: Callable[..., Any], **params: Any) -> str:
    with pytest.raises(ClientError) as refusal:
        call(**params)
    return str(refusal.value.response["Error"]["Code"])
