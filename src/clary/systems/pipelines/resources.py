"""The kinds of resource of this room, how requests name them, and what Search and observers are shown of them."""

from clary.kernel.core.arns import partition_of
from clary.kernel.core.errors import AwsError, validation
from clary.kernel.rooms import Context, Resource
from clary.kernel.store import Entry
from clary.systems.pipelines.documents import execution_document, pipeline_document, step_document
from clary.systems.pipelines.names import TOPIC
from clary.systems.pipelines.records import Pipeline, PipelineExecution, PipelineStep, PipelineVersion


class _Executions(Resource[PipelineExecution]):
    """Executions have their pipeline in their ARN, which is no part of their records' names."""

    __slots__ = ()

    def arn(self, ctx: Context, name: str) -> str:
        entry = ctx.records(PipelineExecution).get(name)
        return ctx.arn(execution_path("*" if entry is None else entry.value.pipeline, name), service="sagemaker")


class _Steps(Resource[PipelineStep]):
    """Steps have no ARN of their own: what is said of one is said of its execution."""

    __slots__ = ()

    def arn(self, ctx: Context, name: str) -> str:
        return EXECUTIONS.arn(ctx, name.partition("/")[0])


PIPELINES = Resource(
    "sagemaker",
    "pipeline",
    Pipeline,
    missing=("ResourceNotFound", "Pipeline '{arn}' does not exist."),
    taken=(
        "ValidationException",
        "Pipeline names must be unique within an AWS account and region. Pipeline with name ({name}) already exists.",
    ),
    search="Pipeline",
    document=pipeline_document,
)
EXECUTIONS = _Executions(
    "sagemaker",
    "pipeline-execution",
    PipelineExecution,
    missing=("ResourceNotFound", "Pipeline execution '{name}' does not exist."),
    search="PipelineExecution",
    document=execution_document,
)
STEPS = _Steps("sagemaker", "pipeline-execution-step", PipelineStep, document=step_document)


def execution_path(pipeline: str, name: str) -> str:
    """The resource part of an execution's ARN."""
    return f"pipeline/{pipeline}/execution/{name}"


def execution_arn(entry: Entry[PipelineExecution]) -> str:
    place = f"arn:{partition_of(entry.region)}:sagemaker:{entry.region}:{entry.account}"
    return f"{place}:{execution_path(entry.value.pipeline, entry.name)}"


def pipeline_arn(entry: Entry[PipelineExecution]) -> str:
    """The ARN of an execution's pipeline."""
    return execution_arn(entry).rpartition("/execution/")[0]


def pipeline_name(name_or_arn: str) -> str:
    """The name of a pipeline that is named by it or by its ARN."""
    return name_or_arn.rpartition("/")[2]


def pipeline_of(ctx: Context, name_or_arn: str) -> Entry[Pipeline]:
    """The pipeline that a request names. Raises ResourceNotFound."""
    name = pipeline_name(name_or_arn)
    if name_or_arn != name and name_or_arn != PIPELINES.arn(ctx, name):
        raise AwsError("ResourceNotFound", f"Pipeline '{name_or_arn}' does not exist.")
    return PIPELINES.get(ctx, name)


def execution_of(ctx: Context, arn: str) -> Entry[PipelineExecution]:
    """The execution with an ARN. Raises ResourceNotFound."""
    entry = EXECUTIONS.find(ctx, arn.rpartition("/")[2])
    if entry is None or execution_arn(entry) != arn:
        raise AwsError("ResourceNotFound", f"Pipeline execution '{arn}' does not exist.")
    return entry


def version_name(pipeline: str, number: int) -> str:
    """What a version is stored as: in order of its number."""
    return f"{pipeline}/{number:09d}"


def version_of(
    ctx: Context, pipeline: Entry[Pipeline], number: int | None = None, alias: str | None = None
) -> Entry[PipelineVersion]:
    """A version by its number or an alias, the latest by neither. Raises ResourceNotFound."""
    if number is not None and alias is not None:
        raise validation("You can't specify both PipelineVersionId and PipelineVersionAlias: leave one of them out.")
    if alias is not None:
        number = pipeline.value.aliases.get(alias)
        if number is None:
            raise AwsError("ResourceNotFound", f"No version of pipeline '{pipeline.name}' has the alias '{alias}'.")
    wanted = pipeline.value.version if number is None else number
    entry = ctx.records(PipelineVersion).get(version_name(pipeline.name, wanted))
    if entry is None or entry.value.uid != pipeline.value.uid:
        raise AwsError("ResourceNotFound", f"Pipeline '{pipeline.name}' has no version {wanted}.")
    return entry


def wake(ctx: Context, execution: str) -> None:
    """Have an execution looked at now."""
    ctx.platform.wake(TOPIC, f"{ctx.account}/{ctx.region}/{execution}")
