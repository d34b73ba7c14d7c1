"""Definitions: read from a request or from S3, checked when they are given, and kept parsed while they are used."""

from collections import OrderedDict
from collections.abc import Mapping
from threading import Lock
from typing import Any

from clary.kernel.core.errors import AwsError, validation
from clary.kernel.rooms import Context, OnePerPlatform, Platform
from clary.kernel.store import Entry
from clary.systems.pipelines.language.definition import Definition
from clary.systems.pipelines.language.errors import DefinitionError
from clary.systems.pipelines.language.parsing import parse
from clary.systems.pipelines.records import PipelineExecution, PipelineVersion
from clary.systems.pipelines.steps import step_types

LARGEST_BYTES = 1_048_576
_KEPT = 64


def given_definition(ctx: Context, text: str | None, location: Mapping[str, str] | None) -> str | None:
    """The definition of a request, which has it or says where in S3 it is; None without either."""
    if location is None:
        return text
    if text is not None:
        raise validation("Provide either PipelineDefinition or PipelineDefinitionS3Location, not both.")
    where = {"Bucket": location["Bucket"], "Key": location["ObjectKey"]}
    if location.get("VersionId"):
        where["VersionId"] = location["VersionId"]
    try:
        head: Any = ctx.call("s3", "HeadObject", where)
        if head["ContentLength"] > LARGEST_BYTES:
            raise validation(f"A pipeline definition has at most {LARGEST_BYTES} bytes: s3://{_uri(where)} has more.")
        found = ctx.platform.objects.get_bytes(
            where["Bucket"], where["Key"], where.get("VersionId"), account=ctx.account
        )
        return found.decode()
    except UnicodeDecodeError:
        raise validation(f"The pipeline definition s3://{_uri(where)} is not UTF-8 text.") from None
    except AwsError as error:
        if error.code == "ValidationException":
            raise
        raise validation(f"Unable to read the pipeline definition s3://{_uri(where)}: {error.message}") from None


def _uri(where: Mapping[str, str]) -> str:
    return f"{where['Bucket']}/{where['Key']}"


def checked(platform: Platform, text: str) -> Definition:
    """A definition as the engine runs it. Raises ValidationException naming the step and the path that are wrong."""
    try:
        return parse(text, step_types(platform))
    except DefinitionError as error:
        raise validation(str(error)) from None


class Definitions:
    """The definitions of the versions that were used last. Threads may share it."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._kept: OrderedDict[tuple[str, str, str, int], Definition] = OrderedDict()
        self._lock = Lock()

    def of(self, execution: Entry[PipelineExecution]) -> Definition:
        """What an execution runs. Raises AwsError when its version is gone."""
        key = (execution.account, execution.region, execution.value.uid, execution.value.version)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        name = f"{execution.value.pipeline}/{execution.value.version:09d}"
        version = self._platform.records(PipelineVersion).within(execution.account, execution.region).get(name)
        if version is None or version.value.uid != execution.value.uid:
            raise AwsError("ResourceNotFound", f"Version {execution.value.version} of the pipeline is gone.")
        definition = checked(self._platform, version.value.definition)
        with self._lock:
            self._kept[key] = definition
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return definition


definitions_of = OnePerPlatform(Definitions)
