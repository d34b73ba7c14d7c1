"""The functions of the language, wherever a value may stand: `Get`, `Std:Join`, `Std:JsonGet`.

A function is a JSON object with one member, the function's name. `expression` reads one; `expressions_in` finds all
of them in a value, each with the JSON path it stands at.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from clary.systems.pipelines.language.paths import BadPath, Token, tokens

GET, JOIN, JSON_GET = "Get", "Std:Join", "Std:JsonGet"
ROOTS = ("Parameters", "Execution", "PipelineExperimentConfig", "Steps", "ForEach", "IterationOutput")
EXECUTION_VARIABLES = frozenset(
    (
        "StartDateTime",
        "CurrentDateTime",
        "PipelineName",
        "PipelineArn",
        "PipelineExecutionId",
        "PipelineExecutionArn",
        "TrainingJobName",
        "ProcessingJobName",
    )
)
MAX_NESTED_FUNCTIONS = 20


class BadExpression(ValueError):
    """An object that has a function's name and not its shape. `below` is the JSON path from the object to the fault."""

    def __init__(self, problem: str, below: str = "") -> None:
        super().__init__(problem, below)
        self.problem = problem
        self.below = below


@dataclass(frozen=True)
class Reference:
    """`Get`: `root` is one of ROOTS, `name` what is referred to there, `path` the way from it, `text` as written."""

    root: str
    name: str
    path: tuple[Token, ...]
    text: str


@dataclass(frozen=True)
class Join:
    on: str
    values: tuple[Any, ...]


@dataclass(frozen=True)
class PropertyFileValue:
    """`Std:JsonGet` from a file that a processing step declares."""

    step: str
    file: str
    path: tuple[Token, ...]
    text: str


@dataclass(frozen=True)
class StoredValue:
    """`Std:JsonGet` from a JSON object in S3; `uri` is a value of the language."""

    uri: Any
    path: tuple[Token, ...]
    text: str


Expression = Reference | Join | PropertyFileValue | StoredValue


def is_function(value: Any) -> bool:
    if not isinstance(value, dict) or len(value) != 1:
        return False
    name: str = next(iter(value))
    return name == GET or name.startswith("Std:")


def expression(value: dict[str, Any]) -> Expression:
    """Read a function that `is_function` found. Raises BadExpression."""
    [(name, body)] = value.items()
    if name == GET:
        if not isinstance(body, str):
            raise BadExpression("Get takes the path of a value as a string", f".{GET}")
        return reference(body)
    if name == JOIN:
        return _join(_members(body, name, {"Values"}, {"On"}))
    if name == JSON_GET:
        return _json_get(_members(body, name, {"Path"}, {"PropertyFile", "S3Uri"}))
    raise BadExpression(f"Unknown function '{name}'; there are {GET}, {JOIN} and {JSON_GET}")


def _members(body: Any, function: str, required: set[str], optional: set[str]) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise BadExpression(f"{function} takes an object", f".{function}")
    for name in body:
        if name not in required | optional:
            raise BadExpression(f"Unknown member '{name}' of {function}", f".{function}")
    for name in sorted(required):
        if body.get(name) is None:
            raise BadExpression(f"{function} needs {name}", f".{function}")
    return body


def _join(body: dict[str, Any]) -> Join:
    on, values = body.get("On"), body["Values"]
    if on is not None and not isinstance(on, str):
        raise BadExpression("On must be a string", f".{JOIN}.On")
    if not isinstance(values, list):
        raise BadExpression("Values must be a list", f".{JOIN}.Values")
    for number, item in enumerate(values):
        if item is None or isinstance(item, list) or (isinstance(item, dict) and not is_function(item)):
            raise BadExpression(
                "what is joined must be a string, a number, a boolean or a function", f".{JOIN}.Values[{number}]"
            )
    return Join(on or "", tuple(values))


def _json_get(body: dict[str, Any]) -> Expression:
    text = body["Path"]
    if not isinstance(text, str):
        raise BadExpression("Path must be a string", f".{JSON_GET}.Path")
    try:
        path = tokens(text)
    except BadPath as error:
        raise BadExpression(str(error), f".{JSON_GET}.Path") from None
    file, uri = body.get("PropertyFile"), body.get("S3Uri")
    if (file is None) == (uri is None):
        raise BadExpression(f"{JSON_GET} needs either PropertyFile or S3Uri", f".{JSON_GET}")
    if file is None:
        if not isinstance(uri, str) and not is_function(uri):
            raise BadExpression("S3Uri must be a string or a function", f".{JSON_GET}.S3Uri")
        return StoredValue(uri, path, f"{JSON_GET} of '{text}'")
    where = f".{JSON_GET}.PropertyFile"
    if not isinstance(file, dict) or list(file) != [GET] or not isinstance(file[GET], str):
        raise BadExpression("PropertyFile must be a Get of Steps.<step>.PropertyFiles.<file>", where)
    found = reference(file[GET])
    if found.root != "Steps" or len(found.path) != 2 or found.path[0] != "PropertyFiles":
        raise BadExpression(f"'{found.text}' is not Steps.<step>.PropertyFiles.<file>", where)
    return PropertyFileValue(found.name, str(found.path[1]), path, f"{found.text} at '{text}'")


@lru_cache(maxsize=4096)
def reference(text: str) -> Reference:
    """Read the path of a `Get`. Raises BadExpression."""
    try:
        root, *path = tokens(text)
    except BadPath as error:
        raise BadExpression(str(error), f".{GET}") from None
    if root not in ROOTS or not path or text.startswith(("$", ".", "[")):
        raise BadExpression(f"'{text}' refers to nothing: begin with one of {', '.join(ROOTS)}", f".{GET}")
    name, *rest = path
    if not isinstance(name, str):
        raise BadExpression(f"'{text}' names nothing of {root}", f".{GET}")
    found = Reference(str(root), name, tuple(rest), text)
    problem = _misplaced(found)
    if problem:
        raise BadExpression(f"'{text}' {problem}", f".{GET}")
    return found


def _misplaced(found: Reference) -> str | None:
    """What is wrong with where a reference leads, as far as it can be said without the definition."""
    if found.root in ("Parameters", "Execution", "PipelineExperimentConfig") and found.path:
        return "goes into a single value"
    if found.root == "Execution" and found.name not in EXECUTION_VARIABLES:
        return f"is not a variable of the execution; there are {', '.join(sorted(EXECUTION_VARIABLES))}"
    if found.root == "PipelineExperimentConfig" and found.name not in ("ExperimentName", "TrialName"):
        return "is neither ExperimentName nor TrialName"
    if found.root == "ForEach" and found.name != "CurrentItem":
        return "is not ForEach.CurrentItem"
    if found.root in ("Steps", "IterationOutput") and not found.path:
        return "names a step and none of its properties"
    return None


def expressions_in(value: Any, path: str) -> Iterator[tuple[str, Expression]]:
    """Every function in `value` with its JSON path, which begins with `path`; outer ones before what stands in them.

    Raises BadExpression, whose `below` then is the whole path.
    """
    pending: list[tuple[Any, str, int]] = [(value, path, 0)]
    while pending:
        item, place, depth = pending.pop()
        if is_function(item):
            if depth >= MAX_NESTED_FUNCTIONS:
                raise BadExpression(f"functions stand in each other deeper than {MAX_NESTED_FUNCTIONS}", place)
            try:
                found = expression(item)
            except BadExpression as error:
                raise BadExpression(error.problem, place + error.below) from None
            yield place, found
            if isinstance(found, Join):
                inner = [
                    (each, f"{place}.{JOIN}.Values[{number}]", depth + 1) for number, each in enumerate(found.values)
                ]
                pending.extend(reversed(inner))
            elif isinstance(found, StoredValue):
                pending.append((found.uri, f"{place}.{JSON_GET}.S3Uri", depth + 1))
        elif isinstance(item, dict):
            pending.extend((each, f"{place}.{name}", depth) for name, each in reversed(item.items()))
        elif isinstance(item, list):
            pending.extend((each, f"{place}[{number}]", depth) for number, each in reversed(list(enumerate(item))))
