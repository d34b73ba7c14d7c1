"""What is told of each feature: one record of metadata for every feature of a group, made and deleted with it."""

from collections.abc import Mapping, Sequence
from typing import Any

from clary.kernel.rooms import Context
from clary.kernel.store.contract import Change
from clary.systems.feature_store.records import FeatureGroup, FeatureMetadata, metadata_name


def metadata_insertions(
    ctx: Context, name: str, group: FeatureGroup, definitions: Sequence[Mapping[str, Any]]
) -> list[Change]:
    """The changes that add the metadata of features, to be applied with the one that adds these to the group."""
    table = ctx.records(FeatureMetadata)
    return [
        table.insertion(
            metadata_name(name, each["FeatureName"]),
            FeatureMetadata(name, group.arn, each["FeatureName"], each["FeatureType"]),
            parent=group.uid,
        )
        for each in definitions
    ]
