"""A kernel with a clock that the test moves, and a client of its lineage."""

from dataclasses import replace
from typing import Any

import pytest

from clary.kernel.core.clock import VirtualClock
from clary.kernel.rooms import Platform
from clary.kernel.rooms.tests.in_process import ACCOUNT, REGION, calling, reconcilers

ROLE = f"arn:aws:iam::{ACCOUNT}:role/Anything"
NOON = 1_700_000_000.0


class World:
    """One home. Every call is a second later than the one before."""

    def __init__(self, platform: Platform, clock: VirtualClock) -> None:
        self.platform = platform
        self.clock = clock
        self._call = calling(platform, "sagemaker")
        self.platform.objects.buckets.create("data", ACCOUNT, REGION)
        self._observe = reconcilers(self.platform)["lineage-observer"]

    def call(self, operation: str, **params: Any) -> dict[str, Any]:
        self.clock.advance(1)
        return self._call(operation, **params)

    def artifact(self, uri: str, type_name: str = "DataSet", **members: Any) -> str:
        return str(
            self.call("CreateArtifact", Source={"SourceUri": uri}, ArtifactType=type_name, **members)["ArtifactArn"]
        )

    def action(self, name: str, type_name: str = "ModelDeployment", uri: str = "u", **members: Any) -> str:
        source = {"SourceUri": uri, "SourceType": "ARN"}
        return str(
            self.call("CreateAction", ActionName=name, Source=source, ActionType=type_name, **members)["ActionArn"]
        )

    def context(self, name: str, type_name: str = "Endpoint", uri: str = "u", **members: Any) -> str:
        source = {"SourceUri": uri}
        created = self.call("CreateContext", ContextName=name, Source=source, ContextType=type_name, **members)
        return str(created["ContextArn"])

    def associate(self, source: str, destination: str, type_name: str = "ContributedTo") -> None:
        self.call("AddAssociation", SourceArn=source, DestinationArn=destination, AssociationType=type_name)

    def become(self, kind: str, name: str, **fields: Any) -> None:
        """Give a record of another room other fields, as its reconciler would."""
        record = self.platform.registry.resource_of(kind).record
        table = self.platform.records(record).within(ACCOUNT, REGION)
        table.update(name, lambda value: replace(value, **fields), status=lambda value: value.status)

    def observe(self) -> None:
        assert self._observe(None) is None, "a change could not be observed"

    def edges(self, **filters: Any) -> set[tuple[str, str, str]]:
        """Associations: the URIs or names of both ends, and the type."""
        found = self.call("ListAssociations", MaxResults=100, **filters)["AssociationSummaries"]
        return {
            (self.label(one["SourceArn"]), one["AssociationType"], self.label(one["DestinationArn"])) for one in found
        }

    def label(self, arn: str) -> str:
        if ":artifact/" in arn:
            return str(self.call("DescribeArtifact", ArtifactArn=arn)["Source"]["SourceUri"])
        return arn.rpartition("/")[2]


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(NOON)


@pytest.fixture
def world(platform: Platform, clock: VirtualClock) -> World:
    return World(platform, clock)
