"""Put over HTTP, found on S3: the offline store of a real server."""

import io
from collections import Counter
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from botocore.exceptions import ClientError

from clary.systems.feature_store.tests.conftest import DEFINITIONS, values
from clary.testing import Server, eventually

ADDED = ["write_time", "api_invocation_time", "is_deleted"]
ROLE = "arn:aws:iam::000000000000:role/Anything"


def written(server: Server, sagemaker: Any, name: str, bucket: str) -> list[dict[str, Any]]:
    """The rows of all files of a group's offline store."""
    found = described(sagemaker, name)["OfflineStoreConfig"]["S3StorageConfig"]
    return rows_below(server, bucket, found["ResolvedOutputS3Uri"].removeprefix(f"s3://{bucket}/"))


def described(sagemaker: Any, name: str) -> dict[str, Any]:
    found: dict[str, Any] = sagemaker.describe_feature_group(FeatureGroupName=name)
    return found


def rows_below(server: Server, bucket: str, prefix: str) -> list[dict[str, Any]]:
    s3 = server.client("s3")
    rows = []
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for item in page.get("Contents", ()):
            data = s3.get_object(Bucket=bucket, Key=item["Key"])["Body"].read()
            table: pa.Table = pq.read_table(io.BytesIO(data))
            rows += table.to_pylist()
    return rows


@pytest.fixture
def bucket(server: Server, unique: Callable[[str], str]) -> str:
    name = unique("offline")
    server.client("s3").create_bucket(Bucket=name)
    return name


def test_what_is_put_is_offline_once_and_described_in_the_catalog(
    server: Server, sagemaker: Any, runtime: Any, group: Callable[..., str], bucket: str
) -> None:
    offline = {"S3StorageConfig": {"S3Uri": f"s3://{bucket}"}}
    name = group(OfflineStoreConfig=offline, RoleArn=ROLE)
    puts = [(str(number % 3), 1_700_000_000 + 1800 * number) for number in range(6)]
    for id, at in puts:
        runtime.put_record(FeatureGroupName=name, Record=values(id=id, at=str(at), count=str(at)))
    online_only = values(id="online", at="1.0")
    runtime.put_record(FeatureGroupName=name, Record=online_only, TargetStores=["OnlineStore"])
    offline_only = values(id="offline", at="1.0")
    runtime.put_record(FeatureGroupName=name, Record=offline_only, TargetStores=["OfflineStore"])
    rows = eventually(lambda: (found := written(server, sagemaker, name, bucket)) and len(found) >= 7 and found)
    assert Counter((row["id"], row["at"]) for row in rows) == Counter([*puts, ("offline", 1.0)])
    assert all(row["write_time"] >= row["api_invocation_time"] for row in rows)
    new = {"FeatureName": "new", "FeatureType": "Integral"}
    sagemaker.update_feature_group(FeatureGroupName=name, FeatureAdditions=[new])
    eventually(lambda: described(sagemaker, name)["LastUpdateStatus"] == {"Status": "Successful"})
    group_now = described(sagemaker, name)
    catalog = group_now["OfflineStoreConfig"]["DataCatalogConfig"]
    partitions = eventually(
        lambda: (
            len(
                found := server.client("glue").get_partitions(
                    DatabaseName=catalog["Database"], TableName=catalog["TableName"]
                )["Partitions"]
            )
            == 4
            and found
        )
    )
    assert partitions[-1]["Values"] == ["2023", "11", "15", "00"]
    assert group_now["OfflineStoreStatus"] == {"Status": "Active"}
    table = server.client("glue").get_table(DatabaseName=catalog["Database"], Name=catalog["TableName"])["Table"]
    columns = [column["Name"] for column in table["StorageDescriptor"]["Columns"]]
    assert columns == [*(each["FeatureName"] for each in DEFINITIONS), "new", *ADDED]


def test_a_deleted_groups_last_records_are_offline_and_its_table_stays(
    server: Server, sagemaker: Any, runtime: Any, unique: Callable[[str], str], bucket: str
) -> None:
    name = unique("group")
    definitions = [
        {"FeatureName": "id", "FeatureType": "String"},
        {"FeatureName": "at", "FeatureType": "String"},
    ]
    sagemaker.create_feature_group(
        FeatureGroupName=name,
        RecordIdentifierFeatureName="id",
        EventTimeFeatureName="at",
        FeatureDefinitions=definitions,
        OfflineStoreConfig={"S3StorageConfig": {"S3Uri": f"s3://{bucket}"}},
        RoleArn=ROLE,
    )
    eventually(lambda: sagemaker.describe_feature_group(FeatureGroupName=name)["FeatureGroupStatus"] == "Created")
    config = sagemaker.describe_feature_group(FeatureGroupName=name)["OfflineStoreConfig"]
    runtime.put_record(FeatureGroupName=name, Record=values(id="a", at="2026-11-27T08:00:00Z"))
    sagemaker.delete_feature_group(FeatureGroupName=name)

    def gone() -> bool:
        try:
            sagemaker.describe_feature_group(FeatureGroupName=name)
        except ClientError as refused:
            return bool(refused.response["Error"]["Code"] == "ResourceNotFound")
        return False

    eventually(gone)
    prefix = config["S3StorageConfig"]["ResolvedOutputS3Uri"].removeprefix(f"s3://{bucket}/")
    assert [row["at"] for row in rows_below(server, bucket, prefix)] == ["2026-11-27T08:00:00Z"]
    table = config["DataCatalogConfig"]
    assert server.client("glue").get_table(DatabaseName=table["Database"], Name=table["TableName"])
