"""Training job operations: check, record what is asked, answer; the reconciler does the rest."""

from dataclasses import replace
from typing import Any

from clary.kernel.core.errors import AwsError, not_supported, validation
from clary.kernel.core.ids import short_id
from clary.kernel.images import ImageUnavailable, Metric
from clary.kernel.jobs.statuses import ACTIVE, IN_PROGRESS
from clary.kernel.rooms import Context, Resource, operation
from clary.kernel.rooms.lists import list_output
from clary.kernel.rooms.roles import acting_role
from clary.kernel.rooms.tags import read_tags
from clary.kernel.store import Entry
from clary.systems.training.logic_documents import describe, summary, warm_pool
from clary.systems.training.logic_requests import complete
from clary.systems.training.logic_transitions import ask_to_stop, first_transition
from clary.systems.training.records import TrainingJob

TOPIC = "training"


def _described(ctx: Context, entry: Entry[TrainingJob]) -> dict[str, Any]:
    return describe(entry, ctx.platform.clock.now(), _own_metrics(ctx, entry.value))


TRAINING_JOBS = Resource(
    "sagemaker",
    "training-job",
    TrainingJob,
    taken=(
        "ResourceInUse",
        "Training job names must be unique within an AWS account and region, and a training job with this name "
        "already exists ({arn})",
    ),
    search="TrainingJob",
    document=_described,
)


@operation("sagemaker", "CreateTrainingJob", resource="training-job/{TrainingJobName}")
def create_training_job(
    ctx: Context, *, TrainingJobName: str, RoleArn: str, Tags: list[dict[str, str]] | None = None, **request: Any
) -> dict[str, Any]:
    """Record the job and wake whoever runs it. What only shows when it runs, such as missing data, fails the job."""
    completed = complete({**request, "RoleArn": RoleArn})
    role = acting_role(ctx, RoleArn)
    job = TrainingJob(
        uid=short_id(),
        arn=TRAINING_JOBS.arn(ctx, TrainingJobName),
        request=completed,
        role=role,
        status=IN_PROGRESS,
        secondary="Starting",
        transitions=first_transition(ctx.platform.clock.now()),
    )
    TRAINING_JOBS.create(ctx, TrainingJobName, job, status=job.status, tags=read_tags(Tags))
    _wake(ctx, TrainingJobName)
    return {"TrainingJobArn": job.arn}


@operation("sagemaker", "DescribeTrainingJob", resource="training-job/{TrainingJobName}")
def describe_training_job(ctx: Context, TrainingJobName: str) -> dict[str, Any]:
    return _described(ctx, TRAINING_JOBS.get(ctx, TrainingJobName))


@operation("sagemaker", "ListTrainingJobs")
def list_training_jobs(
    ctx: Context,
    *,
    WarmPoolStatusEquals: str | None = None,
    TrainingPlanArnEquals: str | None = None,
    **request: Any,
) -> dict[str, Any]:
    if TrainingPlanArnEquals is not None:
        return {"TrainingJobSummaries": []}  # no job has a plan: creation refuses them
    now = ctx.platform.clock.now()

    def keeps_warm(entry: Entry[TrainingJob]) -> bool:
        pool = warm_pool(entry.value, now)
        return pool is not None and pool["Status"] == WarmPoolStatusEquals

    keep = keeps_warm if WarmPoolStatusEquals else None
    return list_output(ctx, TrainingJob, request, lambda entry: summary(entry, now), keep=keep)


@operation("sagemaker", "StopTrainingJob", resource="training-job/{TrainingJobName}")
def stop_training_job(ctx: Context, TrainingJobName: str) -> None:
    """Ask the job to stop. Like AWS, answer at once and give it 120 s to save its work."""
    now = ctx.platform.clock.now()
    entry = ctx.records(TrainingJob).update(
        TrainingJobName, lambda job: ask_to_stop(job, now), status=lambda job: job.status
    )
    if entry is None:
        raise TRAINING_JOBS.not_found(ctx, TrainingJobName)
    if entry.value.status not in ACTIVE:
        raise validation(f"The request was rejected because the training job is in status {entry.value.status}.")
    _wake(ctx, TrainingJobName)


@operation("sagemaker", "UpdateTrainingJob", resource="training-job/{TrainingJobName}")
def update_training_job(
    ctx: Context,
    *,
    TrainingJobName: str,
    ProfilerConfig: dict[str, Any] | None = None,
    ProfilerRuleConfigurations: list[dict[str, Any]] | None = None,
    ResourceConfig: dict[str, int] | None = None,
    RemoteDebugConfig: dict[str, bool] | None = None,
) -> dict[str, Any]:
    """Change how long a warm pool is kept, or what is recorded about profiling."""
    if ProfilerRuleConfigurations:
        raise not_supported("ProfilerRuleConfigurations", "profiler rules would not be evaluated; leave them out")
    if RemoteDebugConfig and RemoteDebugConfig.get("EnableRemoteDebug"):
        raise not_supported("RemoteDebugConfig", "there is no AWS Systems Manager here to connect through")
    now = ctx.platform.clock.now()

    def change(job: TrainingJob) -> TrainingJob:
        if ProfilerConfig is not None:
            if job.status != IN_PROGRESS:
                raise validation(f"ProfilerConfig can only be changed while the job is InProgress, not {job.status}.")
            job = replace(job, request={**job.request, "ProfilerConfig": ProfilerConfig})
        if ResourceConfig is not None:
            job = _kept_warm(job, ResourceConfig["KeepAlivePeriodInSeconds"], now)
        return job

    entry = ctx.records(TrainingJob).update(TrainingJobName, change)
    if entry is None:
        raise TRAINING_JOBS.not_found(ctx, TrainingJobName)
    return {"TrainingJobArn": entry.value.arn}


@operation("sagemaker", "DeleteTrainingJob", resource="training-job/{TrainingJobName}")
def delete_training_job(ctx: Context, TrainingJobName: str) -> None:
    """Forget a job that has ended. Its artifacts and logs stay."""
    entry = TRAINING_JOBS.get(ctx, TrainingJobName)
    if entry.value.status in ACTIVE:
        raise AwsError(
            "ResourceInUse",
            f"The training job {TrainingJobName} is {entry.value.status}: stop it, and delete it when it has ended.",
        )
    pool = warm_pool(entry.value, ctx.platform.clock.now())
    if pool is not None and pool["Status"] == "Available":
        raise AwsError(
            "ResourceInUse",
            f"The training job {TrainingJobName} retains a warm pool: set its KeepAlivePeriodInSeconds to 0 first.",
        )
    TRAINING_JOBS.delete(ctx, TrainingJobName)


def _own_metrics(ctx: Context, job: TrainingJob) -> tuple[Metric, ...]:
    try:
        return ctx.platform.registry.images.resolve(job.request["AlgorithmSpecification"]["TrainingImage"]).metrics
    except ImageUnavailable:
        return ()


def _kept_warm(job: TrainingJob, seconds: int, now: float) -> TrainingJob:
    pool = warm_pool(job, now)
    if pool is None or pool["Status"] != "Available" or job.training_end is None:
        state = "none" if pool is None else str(pool["Status"])
        raise validation(
            f"KeepAlivePeriodInSeconds can only be changed while the warm pool is Available; it is {state}."
        )
    resources = {**job.request["ResourceConfig"], "KeepAlivePeriodInSeconds": seconds}
    return replace(
        job,
        request={**job.request, "ResourceConfig": resources},
        warm_pool_until=max(now, job.training_end + seconds),
    )


def _wake(ctx: Context, name: str) -> None:
    ctx.platform.wake(TOPIC, f"{ctx.account}/{ctx.region}/{name}")
