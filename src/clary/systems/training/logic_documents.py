"""A stored training job as the API shows it: described, listed and found. Pure but for the time it is told."""

import math
from typing import Any

from clary.kernel.images import Metric
from clary.kernel.jobs.statuses import ACTIVE, COMPLETED
from clary.kernel.store import Entry
from clary.systems.training.logic_transitions import billable_seconds
from clary.systems.training.records import TrainingJob

_DEFAULTS: dict[str, Any] = {
    "HyperParameters": {},
    "Environment": {},
    "InputDataConfig": [],
    "EnableNetworkIsolation": False,
    "EnableInterContainerTrafficEncryption": False,
    "EnableManagedSpotTraining": False,
}


def describe(entry: Entry[TrainingJob], now: float, own_metrics: tuple[Metric, ...] = ()) -> dict[str, Any]:
    """DescribeTrainingJob's answer. `own_metrics` are those the algorithm brings."""
    job = entry.value
    request = job.request
    document: dict[str, Any] = {
        **_DEFAULTS,
        **request,
        "TrainingJobName": entry.name,
        "TrainingJobArn": job.arn,
        "AlgorithmSpecification": _algorithm(request["AlgorithmSpecification"], own_metrics),
        "TrainingJobStatus": job.status,
        "SecondaryStatus": job.secondary,
        "SecondaryStatusTransitions": job.transitions,
        "CreationTime": entry.created_at,
        "LastModifiedTime": entry.updated_at,
        "ProfilingStatus": "Disabled",
    }
    document.pop("SessionChainingConfig", None)
    if job.training_start is not None:
        document["TrainingStartTime"] = job.training_start
        document["TrainingTimeInSeconds"] = math.ceil(max(0.0, (job.training_end or now) - job.training_start))
        document["BillableTimeInSeconds"] = billable_seconds(job, now)
    if job.training_end is not None:
        document["TrainingEndTime"] = job.training_end
    if job.failure_reason:
        document["FailureReason"] = job.failure_reason
    if job.artifacts:
        document["ModelArtifacts"] = {"S3ModelArtifacts": job.artifacts}
    if job.metrics:
        document["FinalMetricDataList"] = job.metrics
    pool = warm_pool(job, now)
    if pool is not None:
        document["WarmPoolStatus"] = pool
    return document


def summary(entry: Entry[TrainingJob], now: float) -> dict[str, Any]:
    """A job in ListTrainingJobs' answer."""
    job = entry.value
    return {
        "TrainingJobName": entry.name,
        "TrainingJobArn": job.arn,
        "CreationTime": entry.created_at,
        "LastModifiedTime": entry.updated_at,
        "TrainingEndTime": job.training_end,
        "TrainingJobStatus": job.status,
        "SecondaryStatus": job.secondary,
        "WarmPoolStatus": warm_pool(job, now),
    }


def warm_pool(job: TrainingJob, now: float) -> dict[str, Any] | None:
    """The state of the instances that a job keeps warm; None for a job that asked for none, or did not complete."""
    if not job.request["ResourceConfig"].get("KeepAlivePeriodInSeconds") and job.warm_pool_until is None:
        return None
    if job.status in ACTIVE:
        return {"Status": "InUse"}
    if job.status != COMPLETED or job.warm_pool_until is None or job.training_end is None:
        return None
    if job.warm_pool_reused_by:
        return {
            "Status": "Reused",
            "ResourceRetainedBillableTimeInSeconds": math.ceil(job.warm_pool_retained_seconds),
            "ReusedByJob": job.warm_pool_reused_by,
        }
    retained = math.ceil(max(0.0, min(now, job.warm_pool_until) - job.training_end))
    status = "Available" if now < job.warm_pool_until else "Terminated"
    return {"Status": status, "ResourceRetainedBillableTimeInSeconds": retained}


def same_instances(one: TrainingJob, other: TrainingJob) -> bool:
    """Whether two jobs ask for the same instances, so that one can take over those that the other kept warm."""

    def instances(job: TrainingJob) -> list[Any]:
        resources = {**job.request["ResourceConfig"], "KeepAlivePeriodInSeconds": 0}
        settings = ("RoleArn", "VpcConfig", "EnableNetworkIsolation", "EnableInterContainerTrafficEncryption")
        return [resources, *(job.request.get(name) or None for name in settings)]

    return instances(one) == instances(other)


def _algorithm(specification: dict[str, Any], own_metrics: tuple[Metric, ...]) -> dict[str, Any]:
    asked = specification.get("MetricDefinitions") or []
    taken = {one["Name"] for one in asked}
    own = [{"Name": one.name, "Regex": one.regex} for one in own_metrics if one.name not in taken]
    return {"EnableSageMakerMetricsTimeSeries": False, **specification, "MetricDefinitions": asked + own}
