"""Values of the language against the shapes of AWS's operations.

At creation, what is literal in a step's arguments must fit its operation, and a reference must lead to a member of what
its step will describe. When a step starts, `fitted` gives resolved values the types that the operation takes: a
parameter of type Integer may stand where the wire has a string, as in HyperParameters, and text where it has a number.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from clary.kernel.wire import Member, Shape, service
from clary.kernel.wire.constraints import LOOSENED, WIDENED
from clary.kernel.wire.patterns import compile_pattern
from clary.systems.pipelines.language.expressions import is_function
from clary.systems.pipelines.language.paths import Token, spelled
from clary.systems.pipelines.language.step_types import StepType
from clary.systems.pipelines.language.texts import as_boolean, as_number, as_text

Report = Callable[[str, str], None]
"""Told a problem and the JSON path it is at."""
Function = Callable[[dict[str, Any], Shape, str], None]
"""Told of each function, of the shape that its value must have, and of the JSON path."""

_NUMBERS = ("integer", "long", "float", "double")
_SCALARS = ("string", "boolean", "timestamp", "blob", *_NUMBERS)
_EXPECTED = {
    "structure": "Expecting start of Json Object",
    "map": "Expecting start of Json Object",
    "list": "Expecting start of Json Array",
}


def input_shape(step_type: StepType) -> Shape | None:
    """The shape of a step's arguments; None where they are whatever the user wants."""
    if step_type.create is None:
        return None
    return service(step_type.service).operations[step_type.create].input


def check_arguments(
    arguments: Mapping[str, Any], step_type: StepType, path: str, report: Report, function: Function
) -> None:
    """Report what in `arguments` the step's operation would refuse, as far as it is literal."""
    for name, operation in step_type.parts.items():
        part = service(step_type.service).operations[operation].input
        for number, item in enumerate(arguments.get(name) or ()):
            if part is not None:
                _value(item, part, f"{path}.{name}[{number}]", report, function)
    shape = input_shape(step_type)
    if shape is None:
        return
    for name in step_type.left_out:
        if arguments.get(name) is not None:
            report(f"Unknown Argument member '{name}'", path)
    _structure(arguments, shape, path, report, function, step_type.generated + step_type.left_out)


def _value(value: Any, shape: Shape, path: str, report: Report, function: Function) -> None:
    if is_function(value):
        function(value, shape, path)
    elif shape.document:
        return
    elif shape.type == "structure":
        if isinstance(value, dict):
            _structure(value, shape, path, report, function, ())
        else:
            report(_EXPECTED["structure"], path)
    elif shape.type == "list":
        if not isinstance(value, list):
            report(_EXPECTED["list"], path)
            return
        _size(len(value), shape, path, report)
        for number, item in enumerate(value):
            if item is None:
                report("An element of a list must not be null", f"{path}[{number}]")
            else:
                _value(item, shape.member.shape, f"{path}[{number}]", report, function)
    elif shape.type == "map":
        if not isinstance(value, dict):
            report(_EXPECTED["map"], path)
            return
        _size(len(value), shape, path, report)
        for key, item in value.items():
            _scalar(key, shape.key.shape, f"{path}.{key}", report)
            if item is None:
                report("A value of a map must not be null", f"{path}.{key}")
            else:
                _value(item, shape.value.shape, f"{path}.{key}", report, function)
    else:
        _scalar(value, shape, path, report)


def _structure(
    value: Mapping[str, Any], shape: Shape, path: str, report: Report, function: Function, given: Iterable[str]
) -> None:
    for name in shape.required:
        if value.get(name) is None and name not in given:
            report(f"Missing required Argument member '{name}'", path)
    for name, item in value.items():
        use = shape.members.get(name)
        if use is None:
            report(f"Unknown Argument member '{name[:64]}'", path)
        elif item is not None:
            _value(item, use.shape, f"{path}.{name}", report, function)
    if shape.union and sum(1 for item in value.values() if item is not None) != 1:
        report("Exactly one member of the union must be set", path)


def _size(size: int, shape: Shape, path: str, report: Report) -> None:
    most = WIDENED.get((shape.service.name, shape.name), shape.max)
    if shape.min is not None and size < shape.min:
        report(f"Member must have length greater than or equal to {shape.min:g}", path)
    if most is not None and size > most:
        report(f"Member must have length less than or equal to {most:g}", path)


def _scalar(value: Any, shape: Shape, path: str, report: Report) -> None:
    if shape.type == "boolean":
        if not isinstance(value, bool):
            report(f"Expecting a boolean, not {_kind(value)}", path)
    elif shape.type in _NUMBERS:
        whole = shape.type in ("integer", "long")
        if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
            report(f"Expecting {'an integer' if whole else 'a number'}, not {_kind(value)}", path)
            return
        bits = 31 if shape.type == "integer" else 63
        if whole and not -(2**bits) <= value < 2**bits:
            report(f"Expecting an integer of {bits + 1} bits", path)
        elif shape.min is not None and value < shape.min:
            report(f"Member must have value greater than or equal to {shape.min:g}", path)
        elif shape.max is not None and value > shape.max:
            report(f"Member must have value less than or equal to {shape.max:g}", path)
    elif shape.type == "timestamp":
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            report(f"Expecting a time, not {_kind(value)}", path)
    elif not isinstance(value, str):
        report(f"Expecting a string, not {_kind(value)}", path)
    elif shape.type == "string":
        _text(value, shape, path, report)


def _text(value: str, shape: Shape, path: str, report: Report) -> None:
    if shape.enum:
        if value not in shape.enum:
            report(
                f"'{value[:64]}' is not allowed: Member must satisfy enum value set: [{', '.join(shape.enum)}]", path
            )
        return
    if shape.min is not None and len(value) < shape.min:
        report(f"Member must have length greater than or equal to {shape.min:g}", path)
    elif shape.max is not None and len(value) > shape.max:
        report(f"Member must have length less than or equal to {shape.max:g}", path)
    else:
        stated = LOOSENED.get((shape.service.name, shape.name), shape.pattern)
        if stated and not compile_pattern(stated)(value):
            report(f"'{value[:128]}' is not allowed: Member must satisfy regular expression pattern: {stated}", path)


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    for type_, name in ((bool, "a boolean"), (str, "a string"), (int, "an integer"), (float, "a number")):
        if isinstance(value, type_):
            return name
    return "an object" if isinstance(value, dict) else "a list"


class NoProperty(LookupError):
    """A step of this type has no such property; the text says why."""


def property_shape(step_type: StepType, path: tuple[Token, ...]) -> Shape | None:
    """The shape of a property of a step, None if it is a single value that no operation models. Raises NoProperty."""
    first, *rest = path
    members = _described(step_type)
    if first in members:
        return _follow(members[str(first)].shape, rest, path)
    if first in step_type.maps:
        if len(rest) != 1:
            raise NoProperty(f"{first} is a map of single values: name one, as in {first}['name']")
        return None
    if first in step_type.properties:
        if rest:
            raise NoProperty(f"{first} is a single value")
        return None
    shown = ", ".join(sorted({*members, *step_type.properties, *step_type.maps})) or "no properties"
    raise NoProperty(f"a {step_type.name} step has no '{first}'; it has {shown}")


def _described(step_type: StepType) -> dict[str, Member]:
    """The members of what a step describes; a token for the next page is none of them."""
    found: dict[str, Member] = {}
    for operation in step_type.described:
        output = service(step_type.service).operations[operation].output
        for name, use in (output.members if output is not None else {}).items():
            if name != "NextToken":
                found.setdefault(name, use)
    return found


def _follow(shape: Shape, rest: list[Token], path: tuple[Token, ...]) -> Shape:
    for position, token in enumerate(rest):
        so_far = spelled(path[: position + 2])
        if shape.type == "structure":
            if token not in shape.members:
                raise NoProperty(f"there is no {so_far}; there is {', '.join(shape.members)}")
            shape = shape.members[str(token)].shape
        elif shape.type == "list":
            shape = shape.member.shape
        elif shape.type == "map":
            shape = shape.value.shape
        else:
            raise NoProperty(f"there is no {so_far}: {spelled(path[: position + 1])} is a single value")
    return shape


def is_scalar(shape: Shape) -> bool:
    return shape.type in _SCALARS


def expected(shape: Shape) -> str:
    """What AWS says where a function stands in the place of a structure or a list."""
    return _EXPECTED.get(shape.type, "Expecting a single value")


def fitted_arguments(arguments: Mapping[str, Any], step_type: StepType) -> dict[str, Any]:
    """Resolved arguments with their scalars in the types of the step's operation, or of its operations."""
    found: dict[str, Any] = fitted(dict(arguments), input_shape(step_type))
    for name, operation in step_type.parts.items():
        part = service(step_type.service).operations[operation].input
        if name in found:
            found[name] = [fitted(item, part) for item in found[name]]
    return found


def fitted(value: Any, shape: Shape | None) -> Any:
    """A resolved value with its scalars in the types of the shape, where that loses nothing. Never raises.

    What does not fit is left as it is, for the operation itself to refuse.
    """
    if shape is None or shape.document:
        return value
    if isinstance(value, dict):
        if shape.type == "map":
            return {key: fitted(item, shape.value.shape) for key, item in value.items()}
        if shape.type == "structure":
            uses = shape.members
            return {
                name: fitted(item, uses[name].shape) if name in uses else item
                for name, item in value.items()
                if item is not None
            }
    if isinstance(value, list) and shape.type == "list":
        return [fitted(item, shape.member.shape) for item in value]
    if shape.type == "string" and isinstance(value, bool | int | float):
        return as_text(value)
    if isinstance(value, str):
        return _from_text(value, shape.type)
    if shape.type in ("integer", "long") and isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _from_text(text: str, type_: str) -> Any:
    if type_ == "boolean":
        found = as_boolean(text)
        return text if found is None else found
    number = as_number(text) if type_ in _NUMBERS else None
    if number is None:
        return text
    if type_ in ("integer", "long"):
        return int(number) if number == int(number) else text
    return float(number)
