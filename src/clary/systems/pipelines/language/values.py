"""What the values of the language come to in an execution.

A `Get` gives its value with its type: a parameter of type Integer is a number in JSON. `Std:Join` gives text. What is
not a function is itself. `shapes.fitted` then gives values the types of the operation they are sent to.
"""

import json
from collections.abc import Mapping
from typing import Any, Protocol

from clary.systems.pipelines.language.definition import Definition, Step
from clary.systems.pipelines.language.errors import Unresolvable
from clary.systems.pipelines.language.expressions import (
    BadExpression,
    Join,
    PropertyFileValue,
    Reference,
    StoredValue,
    expression,
    is_function,
)
from clary.systems.pipelines.language.paths import Missing, follow
from clary.systems.pipelines.language.shapes import fitted_arguments
from clary.systems.pipelines.language.step_types import STEP_TYPES
from clary.systems.pipelines.language.texts import as_text

MAX_ITEMS = 5000
"""Like the most steps of a definition: ours, so that one ForEach does not take the controller's time."""


class Scope(Protocol):
    """An execution as a step sees it. Whoever implements it may raise Unresolvable, and LookupError for what is not."""

    def parameter(self, name: str) -> Any:
        """The value of a parameter, typed."""

    def execution(self, name: str) -> Any:
        """A variable of the execution: `PipelineExecutionId`, `StartDateTime`, ..."""

    def experiment(self, name: str) -> Any:
        """The execution's `ExperimentName` or `TrialName`."""

    def step(self, name: str) -> Mapping[str, Any]:
        """The properties of a step that has run: what is described of its job, its `OutputParameters` by name, ..."""

    def property_file(self, step: str, file: str) -> Any:
        """The JSON in a property file of a step."""

    def json_at(self, uri: str) -> Any:
        """The JSON in the object at an S3 URI."""

    def item(self) -> Any:
        """The item of the iteration of a ForEach that this is."""


def resolve(value: Any, scope: Scope) -> Any:
    """`value` with every function in it replaced by what it comes to. Raises Unresolvable."""
    if is_function(value):
        return _evaluate(value, scope)
    if isinstance(value, dict):
        return {name: resolve(item, scope) for name, item in value.items()}
    if isinstance(value, list):
        return [resolve(item, scope) for item in value]
    return value


def resolved_arguments(step: Step, scope: Scope) -> dict[str, Any]:
    """A step's arguments as its operation takes them: resolved, null members left out. Raises Unresolvable."""
    return fitted_arguments(resolve(dict(step.arguments), scope), STEP_TYPES[step.type])


def resolved_siblings(step: Step, scope: Scope) -> dict[str, Any]:
    """The members beside Arguments that steps of this type have, resolved; those that are null are left out."""
    names = STEP_TYPES[step.type].siblings
    found = {name: step.document[name] for name in names if step.document.get(name) is not None}
    return {name: resolve(value, scope) for name, value in found.items()}


def resolved_experiment(definition: Definition, scope: Scope) -> dict[str, str] | None:
    """The names of the definition's PipelineExperimentConfig; None where it has none. Raises Unresolvable."""
    if definition.experiment is None:
        return None
    return {name: str(resolve(value, scope)) for name, value in definition.experiment.items() if value is not None}


def _evaluate(value: dict[str, Any], scope: Scope) -> Any:
    try:
        found = expression(value)
    except BadExpression as error:
        raise Unresolvable(next(iter(value)), error.problem) from None
    if isinstance(found, Join):
        return found.on.join(_joined(item, scope) for item in found.values)
    try:
        result = _lookup(found, scope)
    except Missing as error:
        raise Unresolvable(found.text, str(error)) from None
    except LookupError:
        raise Unresolvable(found.text, "there is no such value") from None
    if result is None:
        raise Unresolvable(found.text, "the value is null")
    return result


def _lookup(found: Reference | PropertyFileValue | StoredValue, scope: Scope) -> Any:
    if isinstance(found, PropertyFileValue):
        return follow(scope.property_file(found.step, found.file), found.path)
    if isinstance(found, StoredValue):
        uri = resolve(found.uri, scope)
        if not isinstance(uri, str):
            raise Unresolvable(found.text, "its S3Uri is not a string")
        return follow(scope.json_at(uri), found.path)
    if found.root == "Parameters":
        return scope.parameter(found.name)
    if found.root == "Execution":
        return scope.execution(found.name)
    if found.root == "PipelineExperimentConfig":
        return scope.experiment(found.name)
    if found.root == "ForEach":
        return follow(_opened(scope.item()) if found.path else scope.item(), found.path)
    if found.root == "Steps":
        return follow(scope.step(found.name), found.path)
    raise Unresolvable(found.text, "it has a value as the Field of a Selector alone")


def _opened(item: Any) -> Any:
    """An item as its members are referred to: items are often JSON objects as text."""
    if not isinstance(item, str):
        return item
    try:
        return json.loads(item)
    except (ValueError, RecursionError):
        raise Missing("the item is text that is not JSON, and has no members") from None


def _joined(item: Any, scope: Scope) -> str:
    value = resolve(item, scope)
    if not isinstance(value, str | bool | int | float):
        shown = json.dumps(item) if not isinstance(item, str) else item
        raise Unresolvable(shown[:200], "it is not a single value, and cannot be joined to text")
    return as_text(value)


def items_of(value: Any) -> list[Any]:
    """The items of a ForEach, from its resolved IterableItems: a list, or a list as JSON text. Raises Unresolvable."""
    items = value
    if isinstance(value, str):
        try:
            items = json.loads(value)
        except (ValueError, RecursionError):
            raise Unresolvable("IterableItems", f"'{value[:100]}' is not a list in JSON") from None
    if not isinstance(items, list):
        raise Unresolvable("IterableItems", "it is not a list")
    if len(items) > MAX_ITEMS:
        raise Unresolvable("IterableItems", f"a ForEach has at most {MAX_ITEMS} items, and these are {len(items)}")
    return items
