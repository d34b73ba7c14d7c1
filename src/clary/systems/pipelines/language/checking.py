"""What only the whole definition shows: references that lead nowhere, steps that wait for each other, wrong types."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from clary.kernel.wire import Shape
from clary.systems.pipelines.language import shapes
from clary.systems.pipelines.language.compound import child_of, cleaned
from clary.systems.pipelines.language.definition import Definition, Step
from clary.systems.pipelines.language.expressions import (
    BadExpression,
    Expression,
    Join,
    PropertyFileValue,
    Reference,
    expression,
    expressions_in,
    is_function,
)
from clary.systems.pipelines.language.graph import Branches, cycle
from clary.systems.pipelines.language.members import Place
from clary.systems.pipelines.language.paths import Token
from clary.systems.pipelines.language.step_types import CONDITION, FOR_EACH, StepType

_CLEANED = ("Training", "Processing", "Transform")


def checked(definition: Definition, step_types: Mapping[str, StepType]) -> Definition:
    """The definition with every step's references. Raises DefinitionError."""
    checker = _Checker(definition, step_types)
    if definition.experiment is not None:
        checker.experiment(definition.experiment)
    referring = {step.name: checker.references(step) for step in definition.all_steps}
    for step in definition.all_steps:
        checker.arguments(step)
        checker.names(step)
    found = replace(definition, steps=tuple(_with_references(step, referring) for step in definition.steps))
    _check_order(found)
    return found


def _with_references(step: Step, referring: Mapping[str, tuple[str, ...]]) -> Step:
    return replace(
        step,
        references=referring[step.name],
        then=tuple(_with_references(each, referring) for each in step.then),
        otherwise=tuple(_with_references(each, referring) for each in step.otherwise),
        body=tuple(_with_references(each, referring) for each in step.body),
    )


def own_values(step: Step) -> dict[str, Any]:
    """Everything of a step in which functions stand and that is not of the steps nested in it, by JSON path from it."""
    nested = {CONDITION: ("IfSteps", "ElseSteps"), FOR_EACH: ("ForEachBody",)}.get(step.type, ())
    found = {f".Arguments.{name}": value for name, value in step.arguments.items() if name not in nested}
    apart = {"Name", "Type", "Arguments", "DependsOn", "CacheConfig", "RetryPolicies", "PropertyFiles"}
    found |= {f".{name}": value for name, value in step.document.items() if name not in apart}
    return found


class _Checker:
    def __init__(self, definition: Definition, step_types: Mapping[str, StepType]) -> None:
        self.definition = definition
        self.step_types = step_types
        self.parameters = {parameter.name for parameter in definition.parameters}

    def experiment(self, values: Mapping[str, Any]) -> None:
        """Refuse names of an experiment and a trial that are not known when an execution starts."""
        for name, value in values.items():
            where = Place(f"PipelineExperimentConfig.{name}")
            if value is None or isinstance(value, str):
                continue
            if not is_function(value):
                where.refuse(f"{name} must be a string or a function")
            try:
                for path, found in expressions_in(value, where.path):
                    place = Place(path)
                    if not isinstance(found, Join | Reference) or (
                        isinstance(found, Reference) and found.root not in ("Parameters", "Execution")
                    ):
                        place.refuse("An experiment's name is made of parameters and of the execution's variables")
                    self._parameter(found, place)
            except BadExpression as error:
                Place(error.below).refuse(error.problem)

    def references(self, step: Step) -> tuple[str, ...]:
        """The names of the steps whose values a step takes, having checked that they are there to be taken."""
        found: dict[str, None] = {}
        for below, value in own_values(step).items():
            try:
                for path, each in expressions_in(value, step.path + below):
                    name = self._expression(step, each, Place(path, step.name))
                    if name is not None:
                        found[name] = None
            except BadExpression as error:
                Place(error.below, step.name).refuse(error.problem)
        for name, objects_named in cleaned(step):
            place = Place(f"{step.path}.Arguments.Resources.S3", step.name)
            source = self._named(step, name, place)
            if source.type not in _CLEANED:
                place.refuse(
                    f"Step '{name}' is of type {source.type}; only of {', '.join(_CLEANED)} can outputs be deleted"
                )
            if source.type != _CLEANED[0] and not objects_named:
                place.refuse(f"S3Uris must say what to delete of step '{name}', which is of type {source.type}")
            found[name] = None
        for dependency in step.depends_on:
            self._named(step, dependency.step, Place(f"{step.path}.DependsOn", step.name))
        return tuple(found)

    def _parameter(self, found: Expression, place: Place) -> None:
        if isinstance(found, Reference) and found.root == "Parameters" and found.name not in self.parameters:
            place.refuse(f"Unknown parameter '{found.name[:64]}'")

    def _expression(self, step: Step, found: Expression, place: Place) -> str | None:
        """Check a function of a step; the step that it takes a value from, if there is one."""
        if isinstance(found, PropertyFileValue):
            source = self._named(step, found.step, place)
            if found.file not in {file.name for file in source.property_files}:
                known = ", ".join(file.name for file in source.property_files) or "none"
                place.refuse(f"Step '{source.name}' declares no property file '{found.file}'; it declares {known}")
            return source.name
        if not isinstance(found, Reference):
            return None
        self._parameter(found, place)
        if found.root == "Steps":
            source = self._named(step, found.name, place)
            self._property(source, found.path, place)
            return source.name
        if found.root == "PipelineExperimentConfig" and found.name not in (self.definition.experiment or {}):
            place.refuse(f"'{found.text}' is not in the definition's PipelineExperimentConfig")
        if found.root == "ForEach" and step.name not in self.definition.iterated:
            place.refuse(f"'{found.text}' has a value in the body of a ForEach step alone")
        if found.root == "IterationOutput":
            if step.type != FOR_EACH or place.path != f"{step.path}.Arguments.Selector.Field":
                place.refuse(f"'{found.text}' has a value as the Field of a ForEach step's Selector alone")
            self._property(self.definition.step(found.name), found.path, place)
        return None

    def _named(self, step: Step, name: str, place: Place) -> Step:
        """The step that another names, if it may wait for it."""
        if name not in self.definition:
            place.refuse(f"Unknown step '{name[:64]}'")
        if name == step.name:
            place.refuse(f"Step '{name}' refers to itself")
        loop = self.definition.iterated.get(name)
        if loop is not None and self.definition.iterated.get(step.name) != loop:
            place.refuse(
                f"Step '{name}' runs once for each item of '{loop}': "
                f"refer to Steps.{loop}.IterationOutputs[<number>].{name}"
            )
        return self.definition.step(name)

    def _property(self, source: Step, path: tuple[Token, ...], place: Place) -> Shape | None:
        """The shape of what a reference leads to; None where it is one value, or anything."""
        first, *rest = path
        if first == "PropertyFiles":
            place.refuse("A property file is read with Std:JsonGet")
        if first == "OutputParameters" and "OutputParameters" in self.step_types[source.type].siblings:
            names = [output["OutputName"] for output in source.document.get("OutputParameters") or []]
            if len(rest) != 1 or rest[0] not in names:
                place.refuse(f"Step '{source.name}' has the outputs {', '.join(names) or '(none)'}")
            return None
        if source.type == FOR_EACH and first in ("IterationOutputs", "Selected"):
            return self._iterations(source, first, rest, place)
        try:
            return shapes.property_shape(self.step_types[source.type], path)
        except shapes.NoProperty as error:
            place.refuse(f"Step '{source.name}' has no such property: {error}")

    def _iterations(self, loop: Step, first: Token, rest: list[Token], place: Place) -> Shape | None:
        body = {step.name: step for step in loop.body}
        if first == "IterationOutputs":
            if len(rest) < 3 or not isinstance(rest[0], int) or rest[1] not in body:
                place.refuse(
                    f"The outputs of '{loop.name}' are IterationOutputs[<number>].<step of the body>.<property>, "
                    f"of the steps {', '.join(body)}"
                )
            return self._property(body[str(rest[1])], tuple(rest[2:]), place)
        selector = loop.arguments.get("Selector")
        if not selector:
            place.refuse(f"Step '{loop.name}' has no Selector, so that nothing is Selected")
        if not rest:
            place.refuse("Selected is a step's output: name one of its properties")
        field = expression(selector["Field"])
        assert isinstance(field, Reference)
        return self._property(body[field.name], tuple(rest), place)

    def arguments(self, step: Step) -> None:
        """Check a step's literal arguments, and the types of its functions' values, against its operation."""

        def report(problem: str, path: str) -> None:
            Place(path, step.name).refuse(problem)

        def function(value: dict[str, Any], wanted: Shape, path: str) -> None:
            self._fits(expression(value), wanted, Place(path, step.name))

        shapes.check_arguments(step.arguments, self.step_types[step.type], f"{step.path}.Arguments", report, function)

    def _fits(self, found: Expression, wanted: Shape, place: Place) -> None:
        if wanted.document or (isinstance(found, Reference) and found.root == "ForEach"):
            return
        given: Shape | None = None
        if isinstance(found, Reference) and found.root == "Steps":
            given = self._property(self.definition.step(found.name), found.path, place)
        single = given is None or shapes.is_scalar(given)
        if shapes.is_scalar(wanted):
            if not single:
                place.refuse("Expecting a single value, and this is a " + str(given and given.type))
        elif given is None or given.type != wanted.type:
            place.refuse(shapes.expected(wanted))

    def names(self, step: Step) -> None:
        """Refuse a step whose name an iteration of a ForEach's body will have."""
        child = child_of(step.name)
        if child is not None and child[0] in self.definition.iterated:
            Place(f"{step.path}.Name", step.name).refuse(
                f"The name '{step.name}' is that of an iteration of step '{child[0]}'"
            )


def _check_order(definition: Definition) -> None:
    found = cycle(definition)
    if found is not None:
        step = definition.step(found[0])
        Place(step.path, step.name).refuse(f"Steps wait for each other: {' -> '.join((*found, found[0]))}")
    branches = Branches(definition)
    for step in definition.all_steps:
        for dependency in definition.dependencies(step.name):
            condition = branches.contradiction(step.name, dependency.step)
            if condition is not None:
                Place(step.path, step.name).refuse(
                    f"It waits for '{dependency.step}', which is in the other branch of '{condition}', "
                    "so that they never run together"
                )
