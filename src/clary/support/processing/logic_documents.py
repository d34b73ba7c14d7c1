"""A stored processing job as the API shows it: described, listed and found. Pure."""

from typing import Any

from clary.kernel.store import Entry
from clary.support.processing.records import ProcessingJob


def describe(entry: Entry[ProcessingJob]) -> dict[str, Any]:
    """DescribeProcessingJob's answer."""
    return {**entry.value.request, **summary(entry), "ProcessingStartTime": entry.value.started}


def summary(entry: Entry[ProcessingJob]) -> dict[str, Any]:
    """A job in ListProcessingJobs' answer."""
    job = entry.value
    return {
        "ProcessingJobName": entry.name,
        "ProcessingJobArn": job.arn,
        "CreationTime": entry.created_at,
        "LastModifiedTime": entry.updated_at,
        "ProcessingEndTime": job.ended,
        "ProcessingJobStatus": job.status,
        "FailureReason": job.failure_reason or None,
        "ExitMessage": job.exit_message or None,
    }
