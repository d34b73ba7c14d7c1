"""Processing job operations: check, record what is asked, answer; the reconciler does the rest."""

from typing import Any

from clary.kernel.core.errors import AwsError, validation
from clary.kernel.core.ids import short_id
from clary.kernel.jobs.statuses import ACTIVE, IN_PROGRESS
from clary.kernel.rooms import Context, Resource, operation
from clary.kernel.rooms.lists import list_output
from clary.kernel.rooms.roles import acting_role
from clary.kernel.rooms.tags import read_tags
from clary.support.processing.logic_documents import describe, summary
from clary.support.processing.logic_progress import ask_to_stop
from clary.support.processing.logic_requests import complete
from clary.support.processing.records import ProcessingJob

TOPIC = "processing"

PROCESSING_JOBS = Resource(
    "sagemaker",
    "processing-job",
    ProcessingJob,
    taken=(
        "ResourceInUse",
        "Job name must be unique within an AWS account and region, and a job with this name already exists ({arn})",
    ),
    document=lambda _, entry: describe(entry),
)


@operation("sagemaker", "CreateProcessingJob", resource="processing-job/{ProcessingJobName}")
def create_processing_job(
    ctx: Context, *, ProcessingJobName: str, RoleArn: str, Tags: list[dict[str, str]] | None = None, **request: Any
) -> dict[str, Any]:
    """Record the job and wake whoever runs it. What only shows when it runs, such as missing data, fails the job."""
    completed = complete({**request, "RoleArn": RoleArn})
    job = ProcessingJob(
        uid=short_id(),
        arn=PROCESSING_JOBS.arn(ctx, ProcessingJobName),
        request=completed,
        role=acting_role(ctx, RoleArn),
        status=IN_PROGRESS,
    )
    PROCESSING_JOBS.create(ctx, ProcessingJobName, job, status=job.status, tags=read_tags(Tags))
    _wake(ctx, ProcessingJobName)
    return {"ProcessingJobArn": job.arn}


@operation("sagemaker", "DescribeProcessingJob", resource="processing-job/{ProcessingJobName}")
def describe_processing_job(ctx: Context, ProcessingJobName: str) -> dict[str, Any]:
    return describe(PROCESSING_JOBS.get(ctx, ProcessingJobName))


@operation("sagemaker", "ListProcessingJobs")
def list_processing_jobs(ctx: Context, **request: Any) -> dict[str, Any]:
    return list_output(ctx, ProcessingJob, request, summary)


@operation("sagemaker", "StopProcessingJob", resource="processing-job/{ProcessingJobName}")
def stop_processing_job(ctx: Context, ProcessingJobName: str) -> None:
    """Ask the job to stop. Like AWS, answer at once, send it SIGTERM and give it 120 s; its outputs are uploaded."""
    entry = ctx.records(ProcessingJob).update(ProcessingJobName, ask_to_stop, status=lambda job: job.status)
    if entry is None:
        raise PROCESSING_JOBS.not_found(ctx, ProcessingJobName)
    if entry.value.status not in ACTIVE:
        raise validation(f"The request was rejected because the processing job is in status {entry.value.status}.")
    _wake(ctx, ProcessingJobName)


@operation("sagemaker", "DeleteProcessingJob", resource="processing-job/{ProcessingJobName}")
def delete_processing_job(ctx: Context, ProcessingJobName: str) -> None:
    """Forget a job that has ended. Its outputs and logs stay."""
    entry = PROCESSING_JOBS.get(ctx, ProcessingJobName)
    if entry.value.status in ACTIVE:
        raise AwsError(
            "ResourceInUse",
            f"The processing job {ProcessingJobName} is {entry.value.status}: delete it when it has ended.",
        )
    PROCESSING_JOBS.delete(ctx, ProcessingJobName)


def _wake(ctx: Context, name: str) -> None:
    ctx.platform.wake(TOPIC, f"{ctx.account}/{ctx.region}/{name}")
