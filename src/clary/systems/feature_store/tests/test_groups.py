"""Feature groups through a client: their rules, and how they come and go."""

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from clary.systems.feature_store.tests.conftest import DEFINITIONS
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
