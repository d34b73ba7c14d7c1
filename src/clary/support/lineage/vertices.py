"""Entities as the ends of associations: artifacts, actions and contexts, and the trial components of jobs.

AWS keeps a trial component for every job, `<job>-aws-training-job` and so on, and associates artifacts with that. Here
it is the job itself under that name: it is there as long as the job is, or anything is associated with it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

from clary.kernel.auth import policies
from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Context
from clary.support.lineage import edges
from clary.support.lineage.resources import ENTITIES, entity_name

TRIAL_COMPONENT = "experiment-trial-component"

# The ending of a trial component's name: the type of the job's ARN, and what ListAssociations calls its type.
JOBS = {
    "-aws-training-job": ("training-job", "SageMakerTrainingJob"),
    "-aws-processing-job": ("processing-job", "SageMakerProcessingJob"),
    "-aws-transform-job": ("transform-job", "SageMakerTransformJob"),
}

_LINEAGE_TYPES = {
    "artifact": "Artifact",
    "action": "Action",
    "context": "Context",
    TRIAL_COMPONENT: "TrialComponent",
}


@dataclass(frozen=True, slots=True)
class Vertex:
    """An entity that exists. `type` is spelled as ListAssociations spells it. Times are epoch seconds."""

    reference: str
    type: str
    name: str
    created_at: float
    updated_at: float
    properties: Mapping[str, str] = field(default_factory=dict)


def job_reference(job: str, ending: str) -> str:
    """The reference of the trial component that stands for a job."""
    return f"{TRIAL_COMPONENT}/{job}{ending}"


def find(ctx: Context, reference: str) -> Vertex | None:
    """The entity of a reference, or None when there is none."""
    kind, _, name = reference.partition("/")
    if kind == TRIAL_COMPONENT:
        return _job(ctx, reference, name)
    resource = ENTITIES.get(kind)
    entry = resource.find(ctx, name) if resource is not None else None
    if entry is None:
        return None
    entity = entry.value
    called = entity_name(reference, entity)
    return Vertex(reference, entity.type, called, entry.created_at, entry.updated_at, entity.properties)


def get(ctx: Context, reference: str) -> Vertex:
    """`find`, or raise ResourceNotFound."""
    found = find(ctx, reference)
    if found is None:
        raise AwsError("ResourceNotFound", f"Resource {ctx.arn(reference)} does not exist.")
    return found


def name_of(ctx: Context, reference: str) -> str:
    """What an entity is called; empty where it has no name."""
    kind, _, name = reference.partition("/")
    if kind != "artifact":
        return name
    found = find(ctx, reference)
    return "" if found is None else found.name


def lineage_type(reference: str) -> str:
    """What QueryLineage calls the kind of an entity: Artifact, Action, Context or TrialComponent."""
    return _LINEAGE_TYPES[reference.partition("/")[0]]


def type_shown(type_name: str) -> str:
    """A type as QueryLineage spells it: a job's without the SageMaker that ListAssociations puts before it."""
    return type_name.removeprefix("SageMaker") if type_name in {spelled for _, spelled in JOBS.values()} else type_name


def require(ctx: Context, reference: str) -> None:
    """Raise AccessDenied unless the caller may do what is called to this entity as well as to the one already asked."""
    policies.require(ctx.principal, ctx.operation, partial(ctx.arn, reference), {"aws:requestedregion": ctx.region})


def _job(ctx: Context, reference: str, name: str) -> Vertex | None:
    for ending, (type_name, spelled) in JOBS.items():
        resource = ctx.platform.registry.resources.get(("sagemaker", type_name))
        if resource is not None and name.endswith(ending):
            entry = resource.find(ctx, name.removesuffix(ending))
            if entry is not None:
                return Vertex(reference, spelled, name, entry.created_at, entry.updated_at)
            associated = [edge.created_at for edge in edges.touching(ctx, reference, limit=1)]
            if associated:  # the job was deleted; what it took and made stays known
                return Vertex(reference, spelled, name, min(associated), max(associated))
    return None
