"""What the room's tests share: clients of the session's server, and feature groups that go when a test is over."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from clary.testing import Server, eventually

DEFINITIONS = [
    {"FeatureName": "id", "FeatureType": "String"},
    {"FeatureName": "at", "FeatureType": "Fractional"},
    {"FeatureName": "count", "FeatureType": "Integral"},
    {"FeatureName": "share", "FeatureType": "Fractional"},
    {"FeatureName": "name", "FeatureType": "String"},
]


@pytest.fixture
def sagemaker(server: Server) -> Any:
    return server.client("sagemaker")


@pytest.fixture
def runtime(server: Server) -> Any:
    return server.client("sagemaker-featurestore-runtime")


@pytest.fixture
def group(sagemaker: Any, unique: Callable[[str], str]) -> Iterator[Callable[..., str]]:
    """Make a feature group and wait until it is Created; it is deleted after the test."""
    made = []

    def make(**options: Any) -> str:
        name = unique("group")
        given = {
            "RecordIdentifierFeatureName": "id",
            "EventTimeFeatureName": "at",
            "FeatureDefinitions": DEFINITIONS,
            "OnlineStoreConfig": {"EnableOnlineStore": True},
        } | options
        sagemaker.create_feature_group(
            FeatureGroupName=name, **{key: value for key, value in given.items() if value is not None}
        )
        made.append(name)
        eventually(
            lambda: sagemaker.describe_feature_group(FeatureGroupName=name)["FeatureGroupStatus"] == "Created",
        )
        return name

    yield make
    for name in made:
        sagemaker.delete_feature_group(FeatureGroupName=name)


def values(**given: Any) -> list[dict[str, Any]]:
    """A record as requests write it: `values(id="7", at="1.0")`."""
    return [
        {"FeatureName": name, "ValueAsStringList" if isinstance(value, list) else "ValueAsString": value}
        for name, value in given.items()
    ]
