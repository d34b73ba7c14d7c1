"""Steps that are no request to one operation: Condition, with its branches, ForEach, Cleanup, Lineage and Fail.

A ForEach runs its body once for each of its items; the steps of one iteration are named `<step of the body>-<number>`.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, TypedDict

from clary.systems.pipelines.language.definition import Step
from clary.systems.pipelines.language.expressions import GET, BadExpression, is_function, reference
from clary.systems.pipelines.language.members import Place, known, lists, number, objects, one_of, text
from clary.systems.pipelines.language.step_types import CLEANUP, CONDITION, FAIL, FOR_EACH, LINEAGE

MAX_CONCURRENCY = 50
MAX_LITERAL_ITEMS = 100
PICKS = ("MaxBy", "MinBy")
COMPARISONS = (
    "Equals",
    "NotEquals",
    "GreaterThan",
    "GreaterThanOrEqualTo",
    "LessThan",
    "LessThanOrEqualTo",
)
MEMBERSHIPS = ("In", "NotIn")
OPERATORS = (*COMPARISONS, *MEMBERSHIPS, "Not", "Or")
MAX_CONDITIONS_DEPTH = 20

ReadSteps = Callable[[Any, Place, str | None, int], tuple[Step, ...]]


class Nested(TypedDict, total=False):
    then: tuple[Step, ...]
    otherwise: tuple[Step, ...]
    body: tuple[Step, ...]


def read(steps: ReadSteps, arguments: Mapping[str, Any], type_: str, place: Place, depth: int) -> Nested:
    """Check the arguments of steps that are no request to an operation, and read the steps in them."""
    if type_ == CONDITION:
        return _condition(steps, arguments, place, depth)
    if type_ == FOR_EACH:
        return _for_each(steps, arguments, place, depth)
    if type_ == FAIL:
        known(arguments, ("ErrorMessage",), "Argument", place)
        message = arguments.get("ErrorMessage")
        if message is not None and not isinstance(message, str) and not is_function(message):
            place.at(".ErrorMessage").refuse("ErrorMessage must be a string or a function")
    if type_ == CLEANUP:
        _cleanup(arguments, place)
    if type_ == LINEAGE:
        _lineage(arguments, place)
    return {}


def _cleanup(arguments: Mapping[str, Any], place: Place) -> None:
    """`{"Resources": {"S3": [{"StepName", "S3Uris"?}]}}`"""
    known(arguments, ("Resources",), "Argument", place)
    resources, where = objects(arguments.get("Resources"), place.at(".Resources")), place.at(".Resources")
    known(resources, ("S3",), "Resources", where)
    sources = lists(resources.get("S3"), where.at(".S3"))
    if not sources:
        where.at(".S3").refuse("There must be something to clean up")
    for index, item in enumerate(sources):
        at = where.at(f".S3[{index}]")
        source = objects(item, at)
        known(source, ("StepName", "S3Uris"), "S3", at)
        text(source, "StepName", at, most=64)
        if source.get("S3Uris") is None:
            continue
        uris = lists(source["S3Uris"], at.at(".S3Uris"))
        if not uris or not all(isinstance(uri, str) or is_function(uri) for uri in uris):
            at.at(".S3Uris").refuse("S3Uris must be strings or functions, and at least one")


def cleaned(step: Step) -> tuple[tuple[str, bool], ...]:
    """The steps whose outputs a Cleanup deletes, and whether it names the objects."""
    if step.type != CLEANUP:
        return ()
    return tuple((each["StepName"], bool(each.get("S3Uris"))) for each in step.arguments["Resources"]["S3"])


def _condition(steps: ReadSteps, arguments: Mapping[str, Any], place: Place, depth: int) -> Nested:
    known(arguments, ("Conditions", "IfSteps", "ElseSteps"), "Argument", place)
    where = place.at(".Conditions")
    if arguments.get("Conditions") is None:
        place.refuse("Missing required Argument member 'Conditions'")
    for index, condition in enumerate(lists(arguments["Conditions"], where)):
        _check_condition(condition, where.at(f"[{index}]"), 0)
    return {
        "then": steps(arguments.get("IfSteps") or [], place.at(".IfSteps"), place.step, depth + 1),
        "otherwise": steps(arguments.get("ElseSteps") or [], place.at(".ElseSteps"), place.step, depth + 1),
    }


def _check_condition(value: Any, place: Place, depth: int) -> None:
    if depth > MAX_CONDITIONS_DEPTH:
        place.refuse(f"Conditions are nested in each other deeper than {MAX_CONDITIONS_DEPTH}")
    condition = objects(value, place)
    operator = one_of(condition.get("Type"), OPERATORS, "Type", place.at(".Type"))
    members = condition_members(condition)
    known(condition, ("Type", *members), f"{operator} condition", place)
    for name in members:
        if condition.get(name) is None:
            place.refuse(f"Missing required member '{name}' of a condition of type {operator}")
    if operator == "Not":
        _check_condition(condition["Condition"], place.at(".Condition"), depth + 1)
    elif operator == "Or":
        inner = place.at(".Conditions")
        for index, each in enumerate(lists(condition["Conditions"], inner)):
            _check_condition(each, inner.at(f"[{index}]"), depth + 1)
    elif operator in MEMBERSHIPS:
        query, values = members
        _operand(condition[query], place.at(f".{query}"))
        for index, each in enumerate(lists(condition[values], place.at(f".{values}"))):
            _operand(each, place.at(f".{values}[{index}]"))
    else:
        for name in members:
            _operand(condition[name], place.at(f".{name}"))


def condition_members(condition: Mapping[str, Any]) -> tuple[str, ...]:
    """The members of a condition beside Type. AWS's schema has `Value` and `In` where its SDKs have other names."""
    operator = condition["Type"]
    if operator == "Not":
        return ("Condition",)
    if operator == "Or":
        return ("Conditions",)
    if operator in MEMBERSHIPS:
        return ("Value", "In") if "Value" in condition or "In" in condition else ("QueryValue", "Values")
    return ("LeftValue", "RightValue")


def _operand(value: Any, place: Place) -> None:
    if not isinstance(value, str | bool | int | float) and not is_function(value):
        place.refuse("What a condition compares must be a string, a number, a boolean or a function")


def _for_each(steps: ReadSteps, arguments: Mapping[str, Any], place: Place, depth: int) -> Nested:
    known(arguments, ("IterableItems", "MaxConcurrency", "Selector", "ForEachBody"), "Argument", place)
    for name in ("IterableItems", "MaxConcurrency", "ForEachBody"):
        if arguments.get(name) is None:
            place.refuse(f"Missing required Argument member '{name}'")
    number(arguments, "MaxConcurrency", place, least=1, most=MAX_CONCURRENCY)
    _items(arguments["IterableItems"], place.at(".IterableItems"))
    where = place.at(".ForEachBody")
    body = steps(arguments["ForEachBody"], where, place.step, depth + 1)
    if not body:
        where.refuse("ForEachBody needs at least one step")
    for step in body:
        if step.type in (CONDITION, FAIL, FOR_EACH):
            Place(step.path, step.name).refuse(f"A step of type {step.type} cannot stand in a ForEachBody")
    if arguments.get("Selector") is not None:
        _selector(arguments["Selector"], {step.name for step in body}, place.at(".Selector"))
    return {"body": body}


def _items(value: Any, place: Place) -> None:
    if is_function(value) or isinstance(value, str):
        return  # a list as JSON text, looked into when it is known
    items = lists(value, place)
    if not 1 <= len(items) <= MAX_LITERAL_ITEMS:
        place.refuse(f"A list of items has 1 to {MAX_LITERAL_ITEMS} elements, not {len(items)}")
    for index, item in enumerate(items):
        if not isinstance(item, str | bool | int | float) and not is_function(item):
            place.at(f"[{index}]").refuse("An item must be a string, a number, a boolean or a function")


def _selector(value: Any, body: set[str], place: Place) -> None:
    selector = objects(value, place)
    known(selector, ("Pick", "Field"), "Selector", place)
    one_of(selector.get("Pick"), PICKS, "Pick", place.at(".Pick"))
    field, where = selector.get("Field"), place.at(".Field")
    if not isinstance(field, dict) or list(field) != [GET] or not isinstance(field[GET], str):
        where.refuse("Field must be a Get of IterationOutput.<step of the body>.<property>")
    try:
        found = reference(field[GET])
    except BadExpression as error:
        where.refuse(error.problem)
    if found.root != "IterationOutput" or found.name not in body:
        where.refuse(f"'{found.text}' is not IterationOutput.<step of the body>.<property>")


ENTITIES = {
    "Actions": ("Action", "ActionName"),
    "Artifacts": ("Artifact", "ArtifactName"),
    "Contexts": ("Context", "ContextName"),
}
"""What a Lineage step makes: the types by which its associations know them, and the members that name them."""


def _lineage(arguments: Mapping[str, Any], place: Place) -> None:
    """Entities to be made, and associations between them or with others, whose ARN is given."""
    known(arguments, (*ENTITIES, "Associations"), "Argument", place)
    made: set[tuple[str, Any]] = set()
    for name, (type_, naming) in ENTITIES.items():
        where = place.at(f".{name}")
        for index, item in enumerate(lists(arguments.get(name) or [], where)):
            entity = objects(item, where.at(f"[{index}]"))
            title = entity.get(naming)
            made.add((type_, title if isinstance(title, str) else None))
    where = place.at(".Associations")
    associations = lists(arguments.get("Associations") or [], where)
    if not made and not associations:
        place.refuse("A Lineage step needs an entity or an association")
    for index, item in enumerate(associations):
        at = where.at(f"[{index}]")
        association = objects(item, at)
        known(association, ("Source", "Destination", "AssociationType"), "Associations", at)
        for end in ("Source", "Destination"):
            _end(association.get(end), made, at.at(f".{end}"))
        kind = association.get("AssociationType")
        if kind is not None and not isinstance(kind, str) and not is_function(kind):
            at.at(".AssociationType").refuse("AssociationType must be a string or a function")


def _end(value: Any, made: set[tuple[str, Any]], place: Place) -> None:
    end = objects(value, place)
    known(end, ("Name", "Type", "Arn"), "association end", place)
    names = ("Arn",) if end.get("Arn") is not None else ("Name", "Type")
    for name in ("Name", "Type", "Arn"):
        given = end.get(name)
        if (given is not None) != (name in names):
            place.refuse("An end of an association has either Arn, or Name and Type")
        if given is not None and not isinstance(given, str) and not is_function(given):
            place.at(f".{name}").refuse(f"{name} must be a string or a function")
    if "Arn" in names:
        return
    type_ = one_of(end["Type"], [each for each, _ in ENTITIES.values()], "Type", place.at(".Type"))
    computed = is_function(end["Name"]) or (type_, None) in made
    if not computed and (type_, end["Name"]) not in made:
        place.refuse(f"This step makes no {type_} named '{end['Name']}': give the Arn of one that is made elsewhere")


def child_name(step: str, iteration: int) -> str:
    return f"{step}-{iteration}"


def child_of(name: str) -> tuple[str, int] | None:
    """The step of a body and the iteration that a name may be of, None where it cannot be one."""
    match = re.fullmatch(r"(.+)-(0|[1-9]\d{0,8})", name)
    return (match[1], int(match[2])) if match else None
