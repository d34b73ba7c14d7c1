"""The room over each online store, in this process: what is put is online at once and in the offline log once."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.conformance.online.conftest import BACKENDS

from clary.kernel.core.clock import VirtualClock
from clary.kernel.core.errors import AwsError
from clary.kernel.core.settings import Settings
from clary.kernel.rooms import Platform
from clary.kernel.rooms.tests.in_process import REGION, Call, calling, reconcilers
from clary.systems.feature_store import offline_log
from clary.systems.feature_store.records import FeatureGroup

DEFINITIONS = [
    {"FeatureName": "id", "FeatureType": "String"},
    {"FeatureName": "at", "FeatureType": "String"},
    {"FeatureName": "count", "FeatureType": "Integral"},
]


@pytest.fixture(params=BACKENDS)
def platform(request: pytest.FixtureRequest, tmp_path: Path, clock: VirtualClock) -> Iterator[Platform]:
    url = request.getfixturevalue("redis_url") if request.param == "redis" else ""
    opened = Platform(Settings.load({}, home=str(tmp_path / "home"), online_store_url=url), clock)
    yield opened
    opened.close()


@pytest.fixture
def runtime(platform: Platform) -> Call:
    return calling(platform, "sagemaker-featurestore-runtime")


@pytest.fixture
def sagemaker(platform: Platform) -> Call:
    calling(platform, "s3")("CreateBucket", Bucket="features", CreateBucketConfiguration={"LocationConstraint": REGION})
    call = calling(platform, "sagemaker")
    call(
        "CreateFeatureGroup",
        FeatureGroupName="g",
        RecordIdentifierFeatureName="id",
        EventTimeFeatureName="at",
        FeatureDefinitions=DEFINITIONS,
        OnlineStoreConfig={"EnableOnlineStore": True, "StorageType": "Standard_V2"},
        OfflineStoreConfig={"S3StorageConfig": {"S3Uri": "s3://features/"}},
        RoleArn="arn:aws:iam::111122223333:role/any",
    )
    reconcilers(platform)["feature_store"](None)
    return call


def record(**values: str) -> list[dict[str, str]]:
    return [{"FeatureName": name, "ValueAsString": value} for name, value in values.items()]


def logged(platform: Platform) -> list[tuple[dict[str, Any], str, bool]]:
    (group,) = platform.records(FeatureGroup).all()
    entries = [orjson.loads(entry) for _, entry in offline_log.read(platform.kv("features"), group.value.uid, 100)]
    return [(entry["v"], entry["t"], entry["d"]) for entry in entries]


def test_the_log_has_what_happened(platform: Platform, sagemaker: Call, runtime: Call, clock: VirtualClock) -> None:
    about = {"FeatureGroupName": "g", "RecordIdentifierValueAsString": "7"}
    first = {"id": "7", "at": "2024-01-01T00:00:00Z", "count": "1"}
    older = {"id": "7", "at": "2023-01-01T00:00:00Z", "count": "0"}
    runtime("PutRecord", FeatureGroupName="g", Record=record(**first))
    runtime("PutRecord", FeatureGroupName="g", Record=record(**older))
    runtime(
        "PutRecord",
        FeatureGroupName="g",
        Record=record(
            **first,
        )[:2],
        TargetStores=["OnlineStore"],
    )
    assert runtime("GetRecord", **about)["Record"] == record(**first)
    runtime("UpdateRecord", **about, Features=record(count="2"))
    with pytest.raises(AwsError, match="must be later"):
        runtime("DeleteRecord", **about, EventTime=first["at"], DeletionMode="HardDelete")
    runtime("DeleteRecord", **about, EventTime="2025-01-01T00:00:00Z", DeletionMode="HardDelete")
    assert runtime("GetRecord", **about) == {}
    brief = {"id": "8", "at": "2025-06-15T15:06:39Z"}
    assert clock.now() == 1_750_000_000.0  # 2025-06-15T15:06:40Z
    runtime("PutRecord", FeatureGroupName="g", Record=record(**brief), TtlDuration={"Unit": "Seconds", "Value": 3})
    clock.advance(5)
    reconcilers(platform)["feature_store"](None)
    deleted, expired = "2025-01-01T00:00:00Z", "2025-06-15T15:06:42.000Z"
    assert logged(platform) == [
        (first, first["at"], False),
        (older, older["at"], False),
        (first | {"count": "2"}, first["at"], False),
        ({"id": "7", "at": deleted}, deleted, True),
        (brief, brief["at"], False),
        ({"id": "8", "at": expired}, expired, True),
    ]
    listed = sagemaker("ListFeatureGroups", SortBy="OfflineStoreStatus")["FeatureGroupSummaries"]
    assert [each["FeatureGroupName"] for each in listed] == ["g"]
    sagemaker("DeleteFeatureGroup", FeatureGroupName="g")
    with pytest.raises(AwsError, match="not found"):
        runtime("PutRecord", FeatureGroupName="g", Record=record(**first))
