"""What the values in an execution's steps are read from: parameters, variables, steps that have run, files in S3.

Read as the language asks for it, and kept for one look at an execution.
"""

from collections.abc import Mapping
from typing import Any

import orjson

from clary.kernel.auth import policies
from clary.kernel.core.arns import partition_of
from clary.kernel.core.clock import iso
from clary.kernel.core.errors import AwsError
from clary.kernel.objects.uri import parse_s3_uri
from clary.kernel.rooms import Context
from clary.kernel.store import Entry
from clary.systems.pipelines.language.definition import Definition
from clary.systems.pipelines.language.errors import Unresolvable
from clary.systems.pipelines.records import PipelineExecution, PipelineStep
from clary.systems.pipelines.resources import execution_arn, pipeline_arn
from clary.systems.pipelines.steps import DRIVERS

LARGEST_FILE_BYTES = 10 * 1024 * 1024


class Variables:
    """What there is before any step has run: parameters and variables of the execution."""

    def __init__(self, entry: Entry[PipelineExecution]) -> None:
        self.entry = entry

    def parameter(self, name: str) -> Any:
        return self.entry.value.parameters[name]

    def execution(self, name: str) -> Any:
        entry = self.entry
        match name:
            case "PipelineName":
                return entry.value.pipeline
            case "PipelineArn":
                return pipeline_arn(entry)
            case "PipelineExecutionId":
                return entry.name
            case "PipelineExecutionArn":
                return execution_arn(entry)
            case "StartDateTime":
                return iso(entry.created_at)
        raise Unresolvable(f"Execution.{name}", "it has no value here")

    def experiment(self, name: str) -> Any:
        return (self.entry.value.experiment or {})[name]

    def step(self, name: str) -> Mapping[str, Any]:
        raise Unresolvable(f"Steps.{name}", "no step has run yet")

    def property_file(self, step: str, file: str) -> Any:
        raise Unresolvable(f"Steps.{step}.PropertyFiles.{file}", "no step has run yet")

    def json_at(self, uri: str) -> Any:
        raise Unresolvable(uri, "no step runs yet")

    def item(self) -> Any:
        raise Unresolvable("ForEach.CurrentItem", "this is no iteration")


class World:
    """What the steps of an execution have made, as far as somebody asked. `own` reads descriptions, `role` files."""

    def __init__(self, own: Context, role: Context, definition: Definition, account: str) -> None:
        self.own = own
        self.role = role
        self.definition = definition
        self.account = account
        self.records: dict[str, PipelineStep] = {}
        self._properties: dict[str, Mapping[str, Any]] = {}
        self._files: dict[str, Any] = {}

    def properties(self, name: str) -> Mapping[str, Any]:
        """The properties of a step. KeyError when it has not run; Unresolvable when what it made is gone."""
        found = self._properties.get(name)
        if found is None:
            record = self.records[name]
            try:
                found = self._described(record)
            except AwsError as error:
                raise Unresolvable(f"Steps.{name}", error.message) from None
            self._properties[name] = found
        return found

    def _described(self, record: PipelineStep) -> Mapping[str, Any]:
        driver = DRIVERS.get(record.type)
        if driver is not None:
            return driver.properties(self.own, record)
        if record.type == "ForEach":
            return self._iterated(record)
        return {"Outcome": record.outcome}

    def _iterated(self, record: PipelineStep) -> Mapping[str, Any]:
        count = record.shown.get("InputItemCount", 0)
        body = [step.name for step in self.definition.step(record.step).body]
        outputs = [_Iteration(self, body, number) for number in range(count)]
        selector = record.shown.get("Selector")
        chosen = {}
        if selector is not None:
            chosen = {"Selected": self.properties(f"{selector['StepName']}-{selector['Index']}")}
        return {**record.shown, "IterationOutputs": outputs, **chosen}

    def forget(self, name: str) -> None:
        """Look again at a step that has gone on."""
        self._properties.pop(name, None)

    def json_at(self, uri: str) -> Any:
        """The JSON in an object, as far as the pipeline's role may read it. Raises Unresolvable."""
        if uri not in self._files:
            self._files[uri] = self._read(uri)
        return self._files[uri]

    def _read(self, uri: str) -> Any:
        try:
            bucket, key = parse_s3_uri(uri)
            resource = f"arn:{partition_of(self.role.region)}:s3:::{bucket}/{key}"
            decision = policies.authorize(self.role.principal, "s3:GetObject", resource)
            if not decision.allowed:
                raise policies.denied(self.role.principal, "s3:GetObject", resource, decision)
            found = self.own.platform.objects.read(bucket, key, account=self.account)
            if found.version.size > LARGEST_FILE_BYTES:
                raise Unresolvable(uri, f"the file has more than {LARGEST_FILE_BYTES} bytes")
            return orjson.loads(self.own.platform.objects.get_bytes(bucket, key, account=self.account))
        except AwsError as error:
            raise Unresolvable(uri, error.message) from None
        except orjson.JSONDecodeError as error:
            raise Unresolvable(uri, f"the file is not JSON: {error}") from None


class _Iteration(Mapping[str, Any]):
    """The outputs of one iteration of a ForEach, by step of its body; read when they are asked for."""

    def __init__(self, world: World, body: list[str], number: int) -> None:
        self._world = world
        self._body = body
        self._number = number

    def __getitem__(self, name: str) -> Mapping[str, Any]:
        if name not in self._body:
            raise KeyError(name)
        return self._world.properties(f"{name}-{self._number}")

    def __iter__(self) -> Any:
        return iter(self._body)

    def __len__(self) -> int:
        return len(self._body)


class StepScope(Variables):
    """An execution as one of its steps sees it. `record` is the step's, whose time is the current one."""

    def __init__(self, entry: Entry[PipelineExecution], world: World, record: PipelineStep) -> None:
        super().__init__(entry)
        self._world = world
        self._record = record

    def execution(self, name: str) -> Any:
        if name == "CurrentDateTime":
            return iso(self._record.started_at)
        if name in ("TrainingJobName", "ProcessingJobName"):
            return self._record.job
        return super().execution(name)

    def step(self, name: str) -> Mapping[str, Any]:
        return self._world.properties(self._in_iteration(name))

    def property_file(self, step: str, file: str) -> Any:
        """The JSON in a file below the output that the property file names."""
        declared = self._world.definition.step(step).property_file(file)
        outputs = (self.step(step).get("ProcessingOutputConfig") or {}).get("Outputs") or ()
        for output in outputs:
            if output["OutputName"] == declared.output_name and output.get("S3Output"):
                return self._world.json_at(f"{output['S3Output']['S3Uri'].rstrip('/')}/{declared.path.lstrip('/')}")
        raise Unresolvable(
            f"Steps.{step}.PropertyFiles.{file}", f"the job has no output '{declared.output_name}' in S3"
        )

    def json_at(self, uri: str) -> Any:
        return self._world.json_at(uri)

    def item(self) -> Any:
        if self._record.index is None:
            return super().item()
        return self._record.item

    def _in_iteration(self, name: str) -> str:
        """Steps of the same body are those of the same iteration."""
        loop = self._world.definition.iterated.get(name)
        return f"{name}-{self._record.index}" if loop is not None and loop == self._record.body_of else name
