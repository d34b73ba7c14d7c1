"""Export jobs of model cards: a version as a PDF document in S3."""

import importlib.util
from collections.abc import Mapping
from typing import Any

from clary.kernel.core.arns import parse_arn
from clary.kernel.core.errors import AwsError, validation
from clary.kernel.objects import parse_s3_uri
from clary.kernel.rooms import Context, operation
from clary.kernel.rooms.lists import list_output
from clary.kernel.store import AlreadyExists, Entry
from clary.support.registry.api.cards import past_version
from clary.support.registry.exporting import IN_PROGRESS, NEEDED, TOPIC
from clary.support.registry.records import ExportJob
from clary.support.registry.resources import MODEL_CARDS, card_asked, card_name


def job_to_be(_: Context, params: Mapping[str, Any]) -> str:
    card = str(params["ModelCardName"]).rpartition("/")[2]
    return f"model-card/{card}/export-job/{params['ModelCardExportJobName']}"


@operation("sagemaker", "CreateModelCardExportJob", resource=job_to_be)
def create_model_card_export_job(
    ctx: Context,
    *,
    ModelCardName: str,
    ModelCardExportJobName: str,
    OutputConfig: dict[str, Any],
    ModelCardVersion: int | None = None,
) -> dict[str, Any]:
    """Record the export of a version, of the latest unless one is named; a reconciler writes the document."""
    entry = MODEL_CARDS.get(ctx, card_name(ctx, ModelCardName))
    if importlib.util.find_spec("fpdf") is None:
        raise validation(NEEDED)
    parse_s3_uri(OutputConfig["S3OutputPath"])
    latest = ModelCardVersion in (None, entry.value.number)
    version = entry.value if latest else past_version(ctx, entry.name, int(ModelCardVersion or 0))
    job = ExportJob(version.number, version.content, version.status, OutputConfig["S3OutputPath"], IN_PROGRESS)
    name = f"{entry.name}/{ModelCardExportJobName}"
    try:
        ctx.records(ExportJob).create(name, job, status=job.status, parent=entry.name)
    except AlreadyExists:
        raise AwsError("ConflictException", f"Model card export job already exists: {_arn(ctx, name)}") from None
    ctx.platform.wake(TOPIC, f"{ctx.account}/{ctx.region}/{name}")
    return {"ModelCardExportJobArn": _arn(ctx, name)}


@operation("sagemaker", "DescribeModelCardExportJob", resource="{ModelCardExportJobArn}")
def describe_model_card_export_job(ctx: Context, ModelCardExportJobArn: str) -> dict[str, Any]:
    arn = parse_arn(ModelCardExportJobArn)
    own = (arn.account, arn.region) == (ctx.account, ctx.region)
    entry = ctx.records(ExportJob).get(arn.resource_name.replace("/export-job/", "/", 1)) if own else None
    if entry is None:
        raise AwsError("ResourceNotFound", f"Model card export job {ModelCardExportJobArn} does not exist.")
    job = entry.value
    return {
        **_summary(ctx, entry),
        "OutputConfig": {"S3OutputPath": job.output},
        "FailureReason": job.failure_reason or None,
        "ExportArtifacts": {"S3ExportArtifacts": job.artifact} if job.artifact else None,
    }


@operation("sagemaker", "ListModelCardExportJobs", resource=card_asked)
def list_model_card_export_jobs(
    ctx: Context,
    *,
    ModelCardName: str,
    ModelCardVersion: int | None = None,
    ModelCardExportJobNameContains: str | None = None,
    **request: Any,
) -> dict[str, Any]:
    card, part = MODEL_CARDS.get(ctx, card_name(ctx, ModelCardName)).name, ModelCardExportJobNameContains or ""

    def keep(entry: Entry[ExportJob]) -> bool:
        return ModelCardVersion in (None, entry.value.number) and part in entry.name.partition("/")[2]

    return list_output(
        ctx, ExportJob, request, lambda entry: _summary(ctx, entry), sort_order="Descending", keep=keep, parent=card
    )


def _summary(ctx: Context, entry: Entry[ExportJob]) -> dict[str, Any]:
    card, _, job = entry.name.partition("/")
    return {
        "ModelCardExportJobName": job,
        "ModelCardExportJobArn": _arn(ctx, entry.name),
        "Status": entry.value.status,
        "ModelCardName": card,
        "ModelCardVersion": entry.value.number,
        "CreatedAt": entry.created_at,
        "LastModifiedAt": entry.updated_at,
    }


def _arn(ctx: Context, name: str) -> str:
    card, _, job = name.partition("/")
    return f"{MODEL_CARDS.arn(ctx, card)}/export-job/{job}"
