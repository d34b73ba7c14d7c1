"""The parameters of a pipeline: their types, and the values that an execution has for them."""

from collections.abc import Mapping
from typing import Any

from clary.systems.pipelines.language.definition import Definition, Parameter
from clary.systems.pipelines.language.texts import as_boolean, as_number

TYPES = ("String", "Integer", "Float", "Boolean")
_LEAST, _MOST = -(2**63), 2**63 - 1
_SHOWN = 128


class ParameterError(ValueError):
    """A value that an execution cannot be started with; the text names the parameter."""


def typed(type_: str, value: Any) -> Any:
    """`value`, which stands in a definition, if it is of the parameter type `type_`. Raises ValueError."""
    right = {
        "String": isinstance(value, str),
        "Integer": isinstance(value, int) and not isinstance(value, bool) and _LEAST <= value <= _MOST,
        "Float": isinstance(value, int | float) and not isinstance(value, bool),
        "Boolean": isinstance(value, bool),
    }[type_]
    if not right:
        raise ValueError(f"{_shown(value)} is not a value of type {type_}")
    if type_ == "String" and len(value) > 4096:
        raise ValueError("a value of type String has at most 4096 characters")
    return float(value) if type_ == "Float" else value


def effective(definition: Definition, given: Mapping[str, str]) -> dict[str, Any]:
    """The value of every parameter, in the order of the definition: what is given, as text, or else the default.

    Raises ParameterError for one that the pipeline does not have, that has no value, or whose value is not of its type.
    """
    known = {parameter.name: parameter for parameter in definition.parameters}
    for name in given:
        if name not in known:
            raise ParameterError(f"Unknown parameter '{name[:_SHOWN]}'")
    found: dict[str, Any] = {}
    for name, parameter in known.items():
        if name in given:
            found[name] = _read(parameter, given[name])
        elif parameter.default is None:
            raise ParameterError(f"Parameter '{name}' is undefined: it has no default value, give it one")
        else:
            found[name] = parameter.default
    return found


def _read(parameter: Parameter, text: str) -> Any:
    if text == "":
        raise ParameterError(f'Parameter {parameter.name} value "" is too short (length: 0, required minimum: 1)')
    value = _from_text(parameter, text)
    if parameter.choices and value not in parameter.choices:
        choices = ", ".join(str(choice) for choice in parameter.choices)
        raise ParameterError(f"Parameter '{parameter.name}' value {_shown(text)} is not one of its values: {choices}")
    return value


def _from_text(parameter: Parameter, text: str) -> Any:
    if parameter.type == "String":
        return text
    found = as_boolean(text) if parameter.type == "Boolean" else as_number(text)
    if parameter.type == "Float" and found is not None:
        return float(found)
    if parameter.type == "Boolean" and found is not None:
        return found
    if parameter.type == "Integer" and isinstance(found, int) and _LEAST <= found <= _MOST:
        return found
    raise ParameterError(
        f"Unexpected type for parameter '{parameter.name}'. Expected {parameter.type} but found {_shown(text)}"
    )


def _shown(value: Any) -> str:
    text = str(value)
    return f"'{text if len(text) <= _SHOWN else text[:_SHOWN] + '...'}'"
