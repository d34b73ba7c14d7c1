"""The kinds of resource of this room, and how one is named.

There is one artifact of a source: of its URI and, where they are given, its types, such as the version of an object.
Two accounts give the artifacts of one source the same id (the SDK joins them by it): here it is an MD5 digest.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import orjson

from clary.kernel.core.arns import parse_arn
from clary.kernel.core.errors import AwsError, validation
from clary.kernel.rooms import Context, Resource
from clary.support.lineage.records import Action, Artifact, Entity, LineageContext

_TAKEN = ("ValidationException", "Resource {arn} already exists.")
_MISSING = ("ResourceNotFound", "Resource {arn} does not exist.")

ARTIFACTS = Resource(
    "sagemaker",
    "artifact",
    Artifact,
    missing=_MISSING,
    taken=(
        "ValidationException",
        "An artifact of this Source already exists: {arn}. There is one of each SourceUri with the same SourceTypes.",
    ),
)
ACTIONS = Resource("sagemaker", "action", Action, missing=_MISSING, taken=_TAKEN)
CONTEXTS = Resource("sagemaker", "context", LineageContext, missing=_MISSING, taken=_TAKEN)

# By the type in an ARN, and as QueryLineage calls them.
ENTITIES: Mapping[str, Resource[Any]] = {one.type_name: one for one in (ARTIFACTS, ACTIONS, CONTEXTS)}


def artifact_id(source: Mapping[str, Any]) -> str:
    """The name of the artifact of a source; the order of its types does not matter."""
    types = sorted((one["SourceIdType"], one["Value"]) for one in source.get("SourceTypes") or ())
    told = orjson.dumps([source["SourceUri"], types]) if types else source["SourceUri"].encode()
    return hashlib.md5(told, usedforsecurity=False).hexdigest()


def read_reference(ctx: Context, text: str) -> str:
    """The resource part of an ARN, once it is known to be of the caller's account and region."""
    arn = parse_arn(text)
    if arn.account != ctx.account:
        raise AwsError(
            "AccessDeniedException",
            f"{text} belongs to account {arn.account}, whose lineage is not shared with account {ctx.account}.",
        )
    if arn.region != ctx.region:
        raise validation(f"{text} is in region {arn.region}; lineage is kept by region, and this is {ctx.region}.")
    return arn.resource


def named(ctx: Context, resource: Resource[Any], name_or_arn: str) -> str:
    """The name of a resource that was given by its name or its ARN."""
    if not name_or_arn.startswith("arn:"):
        return name_or_arn
    kind, _, name = read_reference(ctx, name_or_arn).partition("/")
    if kind != resource.type_name:
        raise validation(f"{name_or_arn} is the ARN of a resource of type {kind!r}, not {resource.type_name!r}.")
    return name


def entity_name(reference: str, entity: Entity) -> str:
    """What an entity is called in lists; empty for an artifact without a name."""
    return entity.title if isinstance(entity, Artifact) else reference.partition("/")[2]
