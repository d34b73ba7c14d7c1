"""Transform job operations: check, record what is asked, answer; the reconciler does the rest."""

from typing import Any

from clary.kernel.core.errors import validation
from clary.kernel.core.ids import short_id
from clary.kernel.jobs.statuses import ACTIVE, IN_PROGRESS
from clary.kernel.rooms import Context, Resource, operation
from clary.kernel.rooms.lists import list_output
from clary.kernel.rooms.resources import containers_of
from clary.kernel.rooms.roles import passed_role
from clary.kernel.rooms.tags import read_tags
from clary.kernel.store import Entry
from clary.systems.batch_transform.logic_progress import ask_to_stop
from clary.systems.batch_transform.logic_requests import check_containers, complete
from clary.systems.batch_transform.records import TransformJob

TOPIC = "batch_transform"


def _described(ctx: Context, entry: Entry[TransformJob]) -> dict[str, Any]:
    job = entry.value
    return {
        **job.request,
        "TransformJobName": entry.name,
        "TransformJobArn": job.arn,
        "TransformJobStatus": job.status,
        "FailureReason": job.failure_reason or None,
        "CreationTime": entry.created_at,
        "TransformStartTime": job.started,
        "TransformEndTime": job.ended,
    }


TRANSFORM_JOBS = Resource(
    "sagemaker",
    "transform-job",
    TransformJob,
    taken=(
        "ResourceInUse",
        "Job name must be unique within an AWS account and region, and a job with this name already exists ({arn})",
    ),
    document=_described,
)


@operation("sagemaker", "CreateTransformJob", resource="transform-job/{TransformJobName}")
def create_transform_job(
    ctx: Context, *, TransformJobName: str, ModelName: str, Tags: list[dict[str, str]] | None = None, **request: Any
) -> dict[str, Any]:
    """Record the job and wake whoever runs it. What only shows when it runs, such as missing data, fails the job."""
    completed = complete({**request, "ModelName": ModelName})
    # As on AWS, who may transform with a model need not be allowed to look at it, or to pass the role that it has: that
    # was passed when the model was made, and stays the one that work with it acts as, or fails for when it is gone.
    asking = ctx.platform.acting_as_root(ctx.account, ctx.region, "sagemaker", "DescribeModel")
    model = ctx.platform.registry.call(asking, {"ModelName": ModelName})
    job = TransformJob(
        uid=short_id(),
        arn=TRANSFORM_JOBS.arn(ctx, TransformJobName),
        request=completed,
        containers=check_containers(
            containers_of(ctx, "sagemaker", "model", ModelName), model.get("InferenceExecutionConfig", {}).get("Mode")
        ),
        role=passed_role(ctx, "sagemaker", "model", ModelName),
        isolated=model.get("EnableNetworkIsolation", False),
        status=IN_PROGRESS,
    )
    TRANSFORM_JOBS.create(ctx, TransformJobName, job, status=job.status, tags=read_tags(Tags))
    _wake(ctx, TransformJobName)
    return {"TransformJobArn": job.arn}


@operation("sagemaker", "DescribeTransformJob", resource="transform-job/{TransformJobName}")
def describe_transform_job(ctx: Context, TransformJobName: str) -> dict[str, Any]:
    return _described(ctx, TRANSFORM_JOBS.get(ctx, TransformJobName))


@operation("sagemaker", "ListTransformJobs")
def list_transform_jobs(ctx: Context, **request: Any) -> dict[str, Any]:
    return list_output(ctx, TransformJob, request, _summary, sort_order="Descending")


@operation("sagemaker", "StopTransformJob", resource="transform-job/{TransformJobName}")
def stop_transform_job(ctx: Context, TransformJobName: str) -> None:
    """Ask the job to stop, and answer at once. Outputs of objects that are done stay."""
    entry = ctx.records(TransformJob).update(TransformJobName, ask_to_stop, status=lambda job: job.status)
    if entry is None:
        raise TRANSFORM_JOBS.not_found(ctx, TransformJobName)
    if entry.value.status not in ACTIVE:
        raise validation(f"The request was rejected because the transform job is in status {entry.value.status}.")
    _wake(ctx, TransformJobName)


def _summary(entry: Entry[TransformJob]) -> dict[str, Any]:
    job = entry.value
    return {
        "TransformJobName": entry.name,
        "TransformJobArn": job.arn,
        "CreationTime": entry.created_at,
        "TransformEndTime": job.ended,
        "LastModifiedTime": entry.updated_at,
        "TransformJobStatus": job.status,
        "FailureReason": job.failure_reason or None,
    }


def _wake(ctx: Context, name: str) -> None:
    ctx.platform.wake(TOPIC, f"{ctx.account}/{ctx.region}/{name}")
