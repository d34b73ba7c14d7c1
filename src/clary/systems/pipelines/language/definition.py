"""A pipeline's definition as it is read: parameters, steps, and who waits for whom. Immutable."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from clary.systems.pipelines.language.step_types import CONDITION, FOR_EACH

COMPLETED = "Completed"
TRIGGERS = (COMPLETED, "Failed", "Stopped", "Any")
"""What of a step another may wait for: its success, its failure, its stopping, or its end."""


@dataclass(frozen=True)
class Parameter:
    """`type` is String, Integer, Float or Boolean; `default` None: a value must be given; `choices` empty: any."""

    name: str
    type: str
    default: Any = None
    choices: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Dependency:
    step: str
    trigger: str = COMPLETED


@dataclass(frozen=True)
class PropertyFile:
    name: str
    output_name: str
    path: str


@dataclass(frozen=True)
class CachePolicy:
    """`expire_after` is as it was written, None where a run never grows too old; seconds are in `caching`."""

    enabled: bool
    expire_after: str | None = None


@dataclass(frozen=True)
class RetryPolicy:
    """After one of `exceptions`, wait `interval_seconds`, times `backoff_rate` for each attempt more, and try again."""

    exceptions: tuple[str, ...]
    interval_seconds: float = 1
    backoff_rate: float = 2.0
    max_attempts: int | None = None
    expire_after_minutes: int | None = None


@dataclass(frozen=True, eq=False)
class Step:
    """A step. `document` is the step as it was written, `path` where: `Steps[2].Arguments.IfSteps[0]`.

    `depends_on` is what DependsOn says, `references` the steps its values are taken from. `parent` is the condition or
    ForEach around it, None at the top. `then` and `otherwise` are a condition's branches, `body` a ForEach's.
    """

    name: str
    type: str
    arguments: Mapping[str, Any]
    document: Mapping[str, Any]
    path: str
    depends_on: tuple[Dependency, ...] = ()
    references: tuple[str, ...] = ()
    cache: CachePolicy | None = None
    retries: tuple[RetryPolicy, ...] = ()
    property_files: tuple[PropertyFile, ...] = ()
    parent: str | None = None
    then: tuple["Step", ...] = ()
    otherwise: tuple["Step", ...] = ()
    body: tuple["Step", ...] = ()

    @property
    def nested(self) -> tuple["Step", ...]:
        return self.then + self.otherwise + self.body

    @property
    def display_name(self) -> str | None:
        return self.document.get("DisplayName")

    @property
    def description(self) -> str | None:
        return self.document.get("Description")

    def property_file(self, name: str) -> PropertyFile:
        """Raises KeyError."""
        for file in self.property_files:
            if file.name == name:
                return file
        raise KeyError(name)


def _waits(step: Step) -> dict[str, Dependency]:
    waits = {each.step: each for each in step.depends_on}
    for name in step.references:
        waits.setdefault(name, Dependency(name))
    return waits


@dataclass(frozen=True, eq=False)
class Definition:
    """A definition that parsed. `steps` are those at the top; `all_steps` has nested ones behind their parent."""

    version: str
    parameters: tuple[Parameter, ...]
    steps: tuple[Step, ...]
    document: Mapping[str, Any]
    experiment: Mapping[str, Any] | None = field(default=None)
    """PipelineExperimentConfig, its values unresolved; None where there is none."""

    @cached_property
    def all_steps(self) -> tuple[Step, ...]:
        return tuple(self._walk(self.steps))

    def _walk(self, steps: tuple[Step, ...]) -> Iterator[Step]:
        for step in steps:
            yield step
            yield from self._walk(step.nested)

    @cached_property
    def _by_name(self) -> Mapping[str, Step]:
        return {step.name: step for step in self.all_steps}

    def step(self, name: str) -> Step:
        """The step of this name, wherever it is nested. Raises KeyError."""
        return self._by_name[name]

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def dependencies(self, name: str) -> tuple[Dependency, ...]:
        """Every step this one waits for, and for what of it: DependsOn, its references, the condition around it.

        A step that is named with a trigger and referred to as well waits for the trigger: where a failure starts it,
        what it refers to may still be there. A ForEach waits for what the steps of its body wait for outside of it,
        too, so that its iterations can begin when it does.
        """
        return self._dependencies[name]

    @cached_property
    def _dependencies(self) -> Mapping[str, tuple[Dependency, ...]]:
        found: dict[str, tuple[Dependency, ...]] = {}
        for step in self.all_steps:
            waits = _waits(step)
            inside = {each.name for each in step.body}
            for each in step.body:
                outside = {name: wait for name, wait in _waits(each).items() if name not in inside}
                waits = {**outside, **waits}
            if step.parent is not None and self._by_name[step.parent].type == CONDITION:
                waits.setdefault(step.parent, Dependency(step.parent))
            found[step.name] = tuple(waits.values())
        return found

    def predecessors(self, name: str) -> frozenset[str]:
        """The names of every step it waits for, the condition or ForEach around it included."""
        names = {each.step for each in self._dependencies[name]}
        parent = self._by_name[name].parent
        return frozenset(names | {parent} if parent is not None else names)

    @cached_property
    def successors(self) -> Mapping[str, tuple[str, ...]]:
        """The names of the steps that wait for each."""
        found: dict[str, list[str]] = {step.name: [] for step in self.all_steps}
        for step in self.all_steps:
            for name in self.predecessors(step.name):
                found[name].append(step.name)
        return {name: tuple(names) for name, names in found.items()}

    @cached_property
    def iterated(self) -> Mapping[str, str]:
        """The names of steps in the bodies of ForEach steps, and whose body it is."""
        return {step.name: loop.name for loop in self.all_steps if loop.type == FOR_EACH for step in loop.body}

    def parameter(self, name: str) -> Parameter:
        """Raises KeyError."""
        for parameter in self.parameters:
            if parameter.name == name:
                return parameter
        raise KeyError(name)
