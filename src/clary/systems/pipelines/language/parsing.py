"""Reads a pipeline's definition, the JSON that CreatePipeline takes, and refuses what no execution could follow.

The version of the language is 2020-12-01; members are those of AWS's published JSON schema and of what both SDKs emit.
A member that is null counts as left out. `checking` then looks at what only the whole definition shows.
"""

from collections.abc import Mapping
from typing import Any

import orjson

from clary.systems.pipelines.language import checking, compound
from clary.systems.pipelines.language.caching import duration_seconds
from clary.systems.pipelines.language.definition import (
    COMPLETED,
    TRIGGERS,
    CachePolicy,
    Definition,
    Dependency,
    Parameter,
    PropertyFile,
    RetryPolicy,
    Step,
)
from clary.systems.pipelines.language.errors import DefinitionError
from clary.systems.pipelines.language.expressions import is_function
from clary.systems.pipelines.language.members import Place, known, lists, number, objects, one_of, text
from clary.systems.pipelines.language.parameters import TYPES, typed
from clary.systems.pipelines.language.step_types import (
    CALLBACK,
    LAMBDA,
    STEP_TYPES,
    UNREAD,
    StepType,
)

VERSION = "2020-12-01"
NAME = r"[A-Za-z0-9\-_]{1,64}"
EXCEPTIONS = (
    "Step.SERVICE_FAULT",
    "Step.THROTTLING",
    "SageMaker.JOB_INTERNAL_ERROR",
    "SageMaker.CAPACITY_ERROR",
    "SageMaker.RESOURCE_LIMIT",
)
OUTPUT_TYPES = ("String", "Integer", "Boolean", "Float")
CHECK_TYPES = {
    "QualityCheck": ("DATA_QUALITY", "MODEL_QUALITY"),
    "ClarifyCheck": ("DATA_BIAS", "MODEL_BIAS", "MODEL_EXPLAINABILITY"),
}

MAX_STEPS = 5000
"""AWS's quota is 50 and can be raised; ours only keeps one definition from taking the controller's time."""
MAX_PARAMETERS = 200
MAX_NESTING = 20
MAX_JSON_DEPTH = 200
MAX_ATTEMPTS = 20
MAX_EXPIRE_AFTER_MINUTES = 14400

_TOP = ("Version", "Metadata", "Parameters", "PipelineExperimentConfig", "MlflowConfig", "Steps")
_STEP = ("Name", "Type", "Arguments", "DependsOn", "DisplayName", "Description")


def parse(definition: str | bytes, step_types: Mapping[str, StepType] = STEP_TYPES) -> Definition:
    """Read a definition whose steps are of the given types. Raises DefinitionError, and nothing else."""
    try:
        document = orjson.loads(definition)
    except orjson.JSONDecodeError as error:
        raise DefinitionError(f"It is not JSON: {error}") from None
    top = Place("")
    document = objects(document, top)
    _depth_checked(document)
    known(document, _TOP, "definition", top)
    version = text(document, "Version", top, most=32, default=VERSION)
    if version != VERSION:
        top.at(".Version").refuse(f"Version must be {VERSION}, not '{version}'")
    _metadata(document.get("Metadata"), top.at(".Metadata"))
    if document.get("MlflowConfig") is not None:
        top.at(".MlflowConfig").refuse("MlflowConfig is not supported by Clary: it has no MLflow tracking server")
    parameters = _parameters(document.get("Parameters"), top.at(".Parameters"))
    if document.get("Steps") is None:
        top.refuse("Missing required member 'Steps'")
    reader = _Steps(step_types)
    steps = reader.read(document["Steps"], top.at(".Steps"), None, 0)
    if not steps:
        top.at(".Steps").refuse("A pipeline needs at least one step")
    experiment = _experiment(document.get("PipelineExperimentConfig"), top.at(".PipelineExperimentConfig"))
    found = Definition(version, parameters, steps, document, experiment)
    return checking.checked(found, step_types)


def _depth_checked(document: Any) -> None:
    level = [document]
    for _ in range(MAX_JSON_DEPTH):
        level = [
            inner
            for item in level
            for inner in (item.values() if isinstance(item, dict) else item)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return
    raise DefinitionError(f"It is nested deeper than {MAX_JSON_DEPTH} levels")


def _metadata(value: Any, place: Place) -> None:
    if value is None:
        return
    for name, item in objects(value, place).items():
        if not isinstance(item, str):
            place.at(f".{name[:64]}").refuse("A value of Metadata must be a string")


def _experiment(value: Any, place: Place) -> Mapping[str, Any] | None:
    if value is None:
        return None
    found = objects(value, place)
    known(found, ("ExperimentName", "TrialName"), "PipelineExperimentConfig", place)
    return found


def _parameters(value: Any, place: Place) -> tuple[Parameter, ...]:
    items = lists(value if value is not None else [], place)
    if len(items) > MAX_PARAMETERS:
        place.refuse(f"A pipeline has at most {MAX_PARAMETERS} parameters, not {len(items)}")
    found: dict[str, Parameter] = {}
    for index, item in enumerate(items):
        parameter = _parameter(item, place.at(f"[{index}]"))
        if parameter.name in found:
            place.at(f"[{index}].Name").refuse(f"Duplicate parameter name '{parameter.name}'")
        found[parameter.name] = parameter
    return tuple(found.values())


def _parameter(value: Any, place: Place) -> Parameter:
    item = objects(value, place)
    known(item, ("Name", "Type", "Description", "DefaultValue", "EnumValues"), "Parameter", place)
    name = text(item, "Name", place, most=256, pattern=r"[A-Za-z0-9\-_]{1,256}")
    type_ = one_of(item.get("Type") or "String", TYPES, "Type", place.at(".Type"))
    text(item, "Description", place, most=4096, default="")
    choices = []
    if item.get("EnumValues") is not None:
        where = place.at(".EnumValues")
        for number_, choice in enumerate(lists(item["EnumValues"], where)):
            choices.append(_typed(type_, choice, where.at(f"[{number_}]")))
        if not choices:
            where.refuse("EnumValues must not be empty")
    default = item.get("DefaultValue")
    if default is not None:
        default = _typed(type_, default, place.at(".DefaultValue"))
        if choices and default not in choices:
            place.at(".DefaultValue").refuse(f"DefaultValue {default!r} is not one of EnumValues")
    return Parameter(name, type_, default, tuple(choices))


def _typed(type_: str, value: Any, place: Place) -> Any:
    try:
        return typed(type_, value)
    except ValueError as error:
        place.refuse(str(error))


class _Steps:
    """Reads steps and what is nested in them; counts them, and knows their names."""

    def __init__(self, step_types: Mapping[str, StepType]) -> None:
        self.step_types = step_types
        self.paths: dict[str, str] = {}

    def read(self, value: Any, place: Place, parent: str | None, depth: int) -> tuple[Step, ...]:
        if depth > MAX_NESTING:
            place.refuse(f"Steps are nested in each other deeper than {MAX_NESTING}")
        return tuple(
            self._step(item, Place(f"{place.path}[{index}]", parent), parent, depth)
            for index, item in enumerate(lists(value, place))
        )

    def _step(self, value: Any, place: Place, parent: str | None, depth: int) -> Step:
        document = objects(value, place)
        name = text(document, "Name", place, most=64, pattern=NAME)
        if name in self.paths:
            place.at(".Name").refuse(f"Duplicate step name '{name}': {self.paths[name]} has it too")
        self.paths[name] = place.path
        if len(self.paths) > MAX_STEPS:
            place.refuse(f"A pipeline has at most {MAX_STEPS} steps")
        place = Place(place.path, name)
        step_type = self._type(document.get("Type"), place)
        known(document, self._allowed(step_type), f"{step_type.name} step", place)
        text(document, "DisplayName", place, most=256, default="")
        text(document, "Description", place, most=3072, default="")
        _siblings(document, step_type, place)
        arguments = self._arguments(document, step_type, place)
        nested = compound.read(self.read, arguments, step_type.name, place.at(".Arguments"), depth)
        return Step(
            name=name,
            type=step_type.name,
            arguments=arguments,
            document=document,
            path=place.path,
            depends_on=_depends_on(document.get("DependsOn"), place.at(".DependsOn")),
            cache=_cache(document.get("CacheConfig"), place.at(".CacheConfig")),
            retries=_retries(document.get("RetryPolicies"), place.at(".RetryPolicies")),
            property_files=_property_files(document.get("PropertyFiles"), arguments, place.at(".PropertyFiles")),
            parent=parent,
            **nested,
        )

    def _type(self, value: Any, place: Place) -> StepType:
        if value is None:
            place.refuse("Missing required member 'Type'")
        if isinstance(value, str) and value in UNREAD | STEP_TYPES.keys() and value not in self.step_types:
            place.at(".Type").refuse(f"Steps of type {value} are not supported by Clary")
        return self.step_types[one_of(value, sorted(self.step_types), "Type", place.at(".Type"))]

    @staticmethod
    def _allowed(step_type: StepType) -> tuple[str, ...]:
        return (
            *_STEP,
            *step_type.siblings,
            *(("CacheConfig",) if step_type.cached else ()),
            *(("RetryPolicies",) if step_type.retried else ()),
        )

    @staticmethod
    def _arguments(document: Mapping[str, Any], step_type: StepType, place: Place) -> Mapping[str, Any]:
        if document.get("Arguments") is None:
            if step_type.name not in (LAMBDA, CALLBACK):
                place.refuse("Missing required member 'Arguments'")
            return {}
        return objects(document["Arguments"], place.at(".Arguments"))


def _siblings(document: Mapping[str, Any], step_type: StepType, place: Place) -> None:
    """Check the members beside Arguments that only this type has; what their functions refer to is checked later."""
    for name, required in step_type.siblings.items():
        value = document.get(name)
        where = place.at(f".{name}")
        if value is None:
            if required:
                place.refuse(f"Missing required member '{name}'")
        elif name == "CheckType":
            one_of(value, CHECK_TYPES[step_type.name], name, where)
        elif name == "OutputParameters":
            _outputs(value, where)
        elif name == "PropertyFiles" or is_function(value):
            continue
        elif name in ("SkipCheck", "FailOnViolation", "RegisterNewBaseline"):
            if not isinstance(value, bool):
                where.refuse(f"{name} must be a boolean")
        elif not isinstance(value, str):
            where.refuse(f"{name} must be a string")


def _outputs(value: Any, place: Place) -> None:
    names: set[str] = set()
    for index, item in enumerate(lists(value, place)):
        where = place.at(f"[{index}]")
        output = objects(item, where)
        known(output, ("OutputName", "OutputType"), "OutputParameters", where)
        name = text(output, "OutputName", where, least=1, most=256)
        if output.get("OutputType") is not None:
            one_of(output["OutputType"], OUTPUT_TYPES, "OutputType", where.at(".OutputType"))
        if name in names:
            where.refuse(f"Duplicate output name '{name}'")
        names.add(name)


def _depends_on(value: Any, place: Place) -> tuple[Dependency, ...]:
    found: dict[str, Dependency] = {}
    for index, item in enumerate(lists(value if value is not None else [], place)):
        where = place.at(f"[{index}]")
        if isinstance(item, str):
            dependency = Dependency(item)
        else:
            entry = objects(item, where)
            known(entry, ("Step", "Trigger"), "DependsOn", where)
            trigger = one_of(entry.get("Trigger") or COMPLETED, TRIGGERS, "Trigger", where.at(".Trigger"))
            dependency = Dependency(text(entry, "Step", where, most=256), trigger)
        if found.setdefault(dependency.step, dependency) != dependency:
            where.refuse(f"'{dependency.step}' is waited for with two triggers")
    return tuple(found.values())


def _cache(value: Any, place: Place) -> CachePolicy | None:
    if value is None:
        return None
    config = objects(value, place)
    known(config, ("Enabled", "ExpireAfter"), "CacheConfig", place)
    enabled = config.get("Enabled")
    if not isinstance(enabled, bool):
        place.at(".Enabled").refuse("Enabled must be a boolean")
    expire_after = config.get("ExpireAfter")
    if expire_after is not None:
        where = place.at(".ExpireAfter")
        if not isinstance(expire_after, str):
            where.refuse("ExpireAfter must be a string")
        try:
            duration_seconds(expire_after)
        except ValueError as error:
            where.refuse(str(error))
    return CachePolicy(enabled, expire_after)


def _retries(value: Any, place: Place) -> tuple[RetryPolicy, ...]:
    items = lists(value if value is not None else [], place)
    return tuple(
        _retry(objects(item, place.at(f"[{index}]")), place.at(f"[{index}]")) for index, item in enumerate(items)
    )


def _retry(policy: Mapping[str, Any], place: Place) -> RetryPolicy:
    names = ("ExceptionType", "IntervalSeconds", "BackoffRate", "MaxAttempts", "ExpireAfterMin")
    known(policy, names, "RetryPolicies", place)
    where = place.at(".ExceptionType")
    given = policy.get("ExceptionType")
    if given is None:
        place.refuse("Missing required member 'ExceptionType'")
    given = [given] if isinstance(given, str) else lists(given, where)
    exceptions = tuple(one_of(each, EXCEPTIONS, "ExceptionType", where) for each in given)
    if not exceptions:
        where.refuse("ExceptionType must not be empty")
    interval = number(policy, "IntervalSeconds", place, least=0, most=86400 * 28)
    backoff = number(policy, "BackoffRate", place, least=0, most=1000, whole=False)
    attempts = number(policy, "MaxAttempts", place, least=1, most=MAX_ATTEMPTS)
    expire = number(policy, "ExpireAfterMin", place, least=1, most=MAX_EXPIRE_AFTER_MINUTES)
    if attempts is not None and expire is not None:
        place.refuse("Only one of MaxAttempts and ExpireAfterMin can be given")
    return RetryPolicy(
        exceptions,
        1 if interval is None else interval,
        2.0 if backoff is None else backoff,
        None if attempts is None else int(attempts),
        None if expire is None else int(expire),
    )


def _property_files(value: Any, arguments: Mapping[str, Any], place: Place) -> tuple[PropertyFile, ...]:
    found: dict[str, PropertyFile] = {}
    outputs = _output_names(arguments)
    for index, item in enumerate(lists(value if value is not None else [], place)):
        where = place.at(f"[{index}]")
        file = objects(item, where)
        known(file, ("PropertyFileName", "OutputName", "FilePath"), "PropertyFiles", where)
        name = text(file, "PropertyFileName", where, least=1, most=256)
        output = text(file, "OutputName", where, least=1, most=256)
        if outputs is not None and output not in outputs:
            where.at(".OutputName").refuse(
                f"The step has no output '{output}'; it has {', '.join(sorted(outputs)) or 'none'}"
            )
        if name in found:
            where.refuse(f"Duplicate property file name '{name}'")
        found[name] = PropertyFile(name, output, text(file, "FilePath", where, least=1, most=1024))
    return tuple(found.values())


def _output_names(arguments: Mapping[str, Any]) -> set[str] | None:
    """The names of a processing step's outputs; None where they are not all literal, or not there to be read."""
    config = arguments.get("ProcessingOutputConfig")
    outputs = config.get("Outputs") if isinstance(config, dict) else []
    if not isinstance(outputs, list):
        return None
    names = [output.get("OutputName") if isinstance(output, dict) else None for output in outputs]
    return {str(name) for name in names} if all(isinstance(name, str) for name in names) else None
