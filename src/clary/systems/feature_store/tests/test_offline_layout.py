"""Where an offline store lies, what its columns are, and what its configuration may say."""

from typing import Any

import pytest

from clary.kernel.core.errors import AwsError
from clary.systems.feature_store.offline import columns, layout
from clary.systems.feature_store.offline.configuration import completed_offline

PLACE = {"account": "111122223333", "region": "us-east-1", "group": "Customer-Purchases", "created_at": 1593511200.7}
DEFINITIONS = [
    {"FeatureName": "Id", "FeatureType": "Integral"},
    {"FeatureName": "time", "FeatureType": "String"},
    {"FeatureName": "amount", "FeatureType": "Fractional"},
    {"FeatureName": "tags", "FeatureType": "String", "CollectionType": "Set"},
    {"FeatureName": "embedding", "FeatureType": "Fractional", "CollectionType": "Vector"},
]


def config(**members: Any) -> dict[str, Any]:
    given = {"S3StorageConfig": {"S3Uri": "s3://bucket/prefix/"}, **members}
    return completed_offline(given, **PLACE, event_time="time", definitions=DEFINITIONS)


def test_data_and_table_are_where_aws_has_them() -> None:
    made = config()
    folder = "s3://bucket/prefix/111122223333/sagemaker/us-east-1/offline-store/Customer-Purchases-1593511200"
    assert made["S3StorageConfig"]["ResolvedOutputS3Uri"] == f"{folder}/data"
    assert made["DataCatalogConfig"] == {
        "TableName": "customer_purchases_1593511200", "Catalog": "AwsDataCatalog", "Database": "sagemaker_featurestore"
    }  # fmt: skip
    assert (made["TableFormat"], made["DisableGlueTableCreation"]) == ("Glue", False)
    moment = layout.moment_of("2020-06-30T00:44:01Z", "String")
    assert layout.hour_path(layout.hour_of(moment)) == "year=2020/month=06/day=30/hour=00"
    name = layout.file_name(moment, "seed")
    assert name == layout.file_name(moment, "seed")
    assert name != layout.file_name(moment, "other")
    begin, _, end = name.partition("_")
    assert begin == "20200630T004401Z"
    assert len(end) == 16 + len(".parquet")


@pytest.mark.parametrize(
    ("text", "type_", "hour"),
    [
        ("2020-06-30T23:59:59.999Z", "String", ("2020", "06", "30", "23")),
        ("2020-06-30T23:59:59+02:00", "String", ("2020", "06", "30", "21")),
        ("1593511200", "Fractional", ("2020", "06", "30", "10")),
        ("-1.5", "Fractional", ("1969", "12", "31", "23")),
    ],
)
def test_an_event_belongs_to_its_hour_in_utc(text: str, type_: str, hour: tuple[str, ...]) -> None:
    assert layout.hour_of(layout.moment_of(text, type_)) == hour


def test_features_are_columns_in_their_order() -> None:
    assert [f"{each['Name']} {each['Type']}" for each in columns.glue_columns(DEFINITIONS)] == [
        "id bigint", "time string", "amount double", "tags array<string>", "embedding array<double>",
        "write_time timestamp", "api_invocation_time timestamp", "is_deleted boolean",
    ]  # fmt: skip
    values = {"Id": "7", "time": "2020-06-30T00:44:01Z", "tags": ["b", "a"], "embedding": ["0.5", "-1e3"]}
    entries = [
        {"v": values, "t": values["time"], "a": 1.25, "d": False},
        {"v": {"Id": "9223372036854775807", "amount": "NaN"}, "t": values["time"], "a": 2.0, "d": True},
    ]
    first, second = columns.table_of(entries, DEFINITIONS, 3.0).to_pylist()
    assert (first["Id"], first["amount"], first["tags"], first["embedding"]) == (7, None, ["b", "a"], [0.5, -1000.0])
    assert (first["api_invocation_time"].timestamp(), first["write_time"].second) == (1.25, 3)
    assert (second["Id"], second["time"], second["tags"], second["is_deleted"]) == (2**63 - 1, None, None, True)
    assert second["amount"] != second["amount"]


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"S3StorageConfig": {"S3Uri": "here"}}, "does not name a place in S3"),
        ({"S3StorageConfig": {"S3Uri": "s3://b", "ResolvedOutputS3Uri": "s3://b/x"}}, "chosen by Feature Store"),
        ({"TableFormat": "Iceberg", "DisableGlueTableCreation": True}, "only supported with DisableGlueTableCreation"),
        ({"DataCatalogConfig": {"TableName": "t", "Catalog": "hive", "Database": "d"}}, "name AwsDataCatalog"),
    ],
)
def test_what_cannot_be_honoured_is_refused(members: dict[str, Any], message: str) -> None:
    with pytest.raises(AwsError, match=message) as caught:
        config(**members)
    assert caught.value.code == "ValidationException"


@pytest.mark.parametrize(("name", "message"), [("ID", "differ in nothing but case"), ("Hour", "partition keys")])
def test_features_that_no_table_can_have_are_refused(name: str, message: str) -> None:
    given = {"S3StorageConfig": {"S3Uri": "s3://bucket"}}
    definitions = [*DEFINITIONS, {"FeatureName": name, "FeatureType": "String"}]
    with pytest.raises(AwsError, match=message):
        completed_offline(given, **PLACE, event_time="time", definitions=definitions)


def test_a_catalog_of_ones_own_is_shown_and_none_is_made_where_none_is_wanted() -> None:
    own = {"TableName": "T", "Catalog": "hive", "Database": "D"}
    assert config(DisableGlueTableCreation=True, DataCatalogConfig=own)["DataCatalogConfig"] == own
    assert "DataCatalogConfig" not in config(DisableGlueTableCreation=True)
