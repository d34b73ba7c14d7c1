"""The metadata of features: a description and parameters of each, to be found by."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from clary.kernel.core.errors import AwsError, validation
from clary.kernel.rooms import Context, Resource, operation
from clary.kernel.store import Entry
from clary.systems.feature_store.api.groups import find_group
from clary.systems.feature_store.lookup import group_resource
from clary.systems.feature_store.records import FeatureMetadata, metadata_name

_MOST_PARAMETERS = 25


def _described(ctx: Context, entry: Entry[FeatureMetadata]) -> dict[str, Any]:
    about = entry.value
    return {
        "FeatureGroupArn": about.group_arn,
        "FeatureGroupName": about.group,
        "FeatureName": about.feature,
        "FeatureType": about.type,
        "CreationTime": entry.created_at,
        "LastModifiedTime": entry.updated_at,
        "Description": about.description or None,
        "Parameters": [{"Key": key, "Value": value} for key, value in about.parameters.items()],
    }


FEATURE_METADATA = Resource(
    "sagemaker", "feature-metadata", FeatureMetadata, search="FeatureMetadata", document=_described
)


@operation("sagemaker", "DescribeFeatureMetadata", resource=group_resource)
def describe_feature_metadata(ctx: Context, FeatureGroupName: str, FeatureName: str) -> dict[str, Any]:
    return _described(ctx, _find(ctx, FeatureGroupName, FeatureName))


@operation("sagemaker", "UpdateFeatureMetadata", resource=group_resource)
def update_feature_metadata(
    ctx: Context,
    FeatureGroupName: str,
    FeatureName: str,
    Description: str | None = None,
    ParameterAdditions: Sequence[Mapping[str, str]] = (),
    ParameterRemovals: Sequence[str] = (),
) -> None:
    """Describe a feature anew; add parameters, over values of the same key, and take others off."""
    entry = _find(ctx, FeatureGroupName, FeatureName)
    if not all("Key" in each and "Value" in each for each in ParameterAdditions):
        raise validation("Each of the ParameterAdditions needs both Key and Value.")
    added = {each["Key"]: each["Value"] for each in ParameterAdditions}
    both = sorted(added.keys() & set(ParameterRemovals))
    if both:
        raise validation(f"Parameters cannot be both added and removed: {', '.join(both)}.")

    def change(about: FeatureMetadata) -> FeatureMetadata:
        kept = {key: value for key, value in about.parameters.items() if key not in ParameterRemovals}
        parameters = kept | added
        if len(parameters) > _MOST_PARAMETERS:
            raise validation(f"A feature has at most {_MOST_PARAMETERS} parameters; this would make {len(parameters)}.")
        return replace(
            about, description=about.description if Description is None else Description, parameters=parameters
        )

    if ctx.records(FeatureMetadata).update(entry.name, change) is None:
        raise _no_feature(FeatureGroupName, FeatureName)


def _find(ctx: Context, group: str, feature: str) -> Entry[FeatureMetadata]:
    """The metadata of a feature. Raises ResourceNotFound for the group, or for the feature."""
    found = ctx.records(FeatureMetadata).get(metadata_name(find_group(ctx, group).name, feature))
    if found is None:
        raise _no_feature(group, feature)
    return found


def _no_feature(group: str, feature: str) -> AwsError:
    return AwsError("ResourceNotFound", f"Resource Not Found: FeatureGroup {group} has no feature {feature}.")
