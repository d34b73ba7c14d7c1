"""What may run now, from the states that an execution's steps are in. Looks at nothing else, and may be asked any time.

The rules:

- A step starts when each step that it waits for has ended as it wants it to: `Completed` means succeeded, `Failed` and
  `Stopped` what they say, `Any` whichever of the three. One that waits for what can no longer happen never runs. Nor
  does one in a branch that was not taken, nor whatever waits for it: that is no failure.
- A step that failed is *handled* if a step that may still run, or has run, waits for it with `Failed` or `Any`;
  likewise one that was stopped. After a failure that nobody handles, what runs is let run to its end and nothing else
  starts but steps that a failure starts. The execution then is Failed. If all failures are handled, it is
  CompletedWithFailures.
- A ForEach starts its children `<step of the body>-<number>`, at most MaxConcurrency at a time, and ends with them.
  After a child's unhandled failure no further one starts, and the ForEach has failed.
- `parallelism` bounds the steps that run at once, children included; a ForEach itself does not count.

A retry of an execution forgets the states of all steps that have not succeeded. A ForEach then begins anew, with the
children that have succeeded in place.

Steps start in the order of the definition. One pass over the steps: about a millisecond for a thousand.
"""

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from itertools import chain
from types import MappingProxyType
from weakref import WeakKeyDictionary

from clary.systems.pipelines.language.compound import child_name
from clary.systems.pipelines.language.definition import Definition, Step
from clary.systems.pipelines.language.graph import ordered
from clary.systems.pipelines.language.step_types import FOR_EACH

STARTING, EXECUTING, STOPPING = "Starting", "Executing", "Stopping"
STOPPED, FAILED, SUCCEEDED = "Stopped", "Failed", "Succeeded"
COMPLETED_WITH_FAILURES = "CompletedWithFailures"


@dataclass(frozen=True)
class StepState:
    """A step that has been started, or whose run in another execution is used. One that has not, has no state.

    `status` is AWS's; `outcome` a condition's that succeeded; `iterations` how many items a ForEach has, once known.
    """

    status: str
    outcome: bool | None = None
    iterations: int | None = None


@dataclass(frozen=True)
class Plan:
    """start: the names of what to start now. finish: ForEach steps whose children have all ended, and how they ended.

    never: the steps that will not run any more. outcome: how the execution has ended, None while it goes on. Failed and
    Stopped are known to be coming when `failing` is: nothing but what a failure starts will be started.
    """

    start: tuple[str, ...] = ()
    finish: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    never: tuple[str, ...] = ()
    outcome: str | None = None
    failing: bool = False


_SUCCEEDED, _FAILED, _STOPPED, _RUNNING, _READY, _WAITING, _NEVER = range(7)
_FATES = {
    SUCCEEDED: _SUCCEEDED,
    FAILED: _FAILED,
    STOPPED: _STOPPED,
    STARTING: _RUNNING,
    EXECUTING: _RUNNING,
    STOPPING: _RUNNING,
}
_WANTED: Mapping[str, tuple[int, ...]] = {
    "Completed": (_SUCCEEDED,),
    "Failed": (_FAILED,),
    "Stopped": (_STOPPED,),
    "Any": (_SUCCEEDED, _FAILED, _STOPPED),
}


@dataclass(frozen=True)
class _Node:
    """A step by the numbers of those it waits for, each with the fates that content it; a loop with its body."""

    name: str
    waits: tuple[tuple[int, tuple[int, ...]], ...]
    condition: int = -1
    branch: bool = True
    loop: bool = False
    body: tuple["_Node", ...] = ()
    most: int = 0


def plan(
    definition: Definition,
    states: Mapping[str, StepState],
    parallelism: int | None = None,
    *,
    stopping: bool = False,
    only: frozenset[str] | None = None,
) -> Plan:
    """What to do next, given what has been done.

    `stopping`: start nothing more; the execution is Stopped when what runs has ended. `only`: the steps that a
    selective execution has selected; those whose runs it takes from another have a state, all others never run.
    """
    nodes = _compiled(definition)
    fates = _fates(nodes, states, only)
    ends = _unhandled(nodes, fates)
    failing = bool(ends & {_FAILED, _STOPPED})
    loops = [
        _iterate(node, states, stopping, failing)
        for node, fate in zip(nodes, fates, strict=True)
        if node.loop and fate == _RUNNING
    ]
    ready = [] if stopping else _ready(nodes, fates, failing)
    running = fates.count(_RUNNING) - len(loops) + sum(loop.running for loop in loops)
    room = len(nodes) + sum(len(loop.ready) for loop in loops)
    if parallelism is not None:
        room = max(0, parallelism - running)
    start: list[str] = []
    for name in chain(ready, *(loop.ready for loop in loops)):
        counts = name not in definition or definition.step(name).type != FOR_EACH
        if not counts or room > 0:
            start.append(name)
            room -= counts
    finish = {loop.name: loop.ending for loop in loops if loop.ending is not None}
    outcome = None
    if not start and not finish and _RUNNING not in fates:
        outcome = _outcome(ends, fates, stopping)
    never = tuple(node.name for node, fate in zip(nodes, fates, strict=True) if fate == _NEVER)
    return Plan(tuple(start), finish, never, outcome, failing)


def _outcome(ends: Set[int], fates: Sequence[int], stopping: bool) -> str:
    if _FAILED in ends:
        return FAILED
    if stopping or _STOPPED in ends:
        return STOPPED
    return COMPLETED_WITH_FAILURES if _FAILED in fates or _STOPPED in fates else SUCCEEDED


def _fates(nodes: Sequence[_Node], states: Mapping[str, StepState], only: frozenset[str] | None) -> list[int]:
    fates: list[int] = []
    get = states.get
    for node in nodes:
        state = get(node.name)
        if state is not None:
            fates.append(_FATES[state.status])
        elif only is not None and node.name not in only:
            fates.append(_NEVER)
        else:
            fate = _awaited(node.waits, fates)
            if fate != _NEVER and node.condition >= 0 and fates[node.condition] == _SUCCEEDED:
                decided = states[nodes[node.condition].name].outcome
                if decided is not node.branch:
                    fate = _NEVER
            fates.append(fate)
    return fates


def _awaited(waits: tuple[tuple[int, tuple[int, ...]], ...], fates: Sequence[int]) -> int:
    """Whether a step that waits for those may start, may later, or never will."""
    fate = _READY
    for number, wanted in waits:
        found = fates[number]
        if found not in wanted:
            if found not in (_RUNNING, _READY, _WAITING):
                return _NEVER
            fate = _WAITING
    return fate


def _unhandled(nodes: Sequence[_Node], fates: Sequence[int]) -> Set[int]:
    """Which of _FAILED and _STOPPED a step has ended with that no step which may run waits for."""
    ended = {number for number, fate in enumerate(fates) if fate in (_FAILED, _STOPPED)}
    if not ended:
        return frozenset()
    for node, fate in zip(nodes, fates, strict=True):
        if fate != _NEVER:
            ended -= {number for number, wanted in node.waits if fates[number] in wanted}
    return {fates[number] for number in ended}


def _ready(nodes: Sequence[_Node], fates: Sequence[int], failing: bool) -> list[str]:
    return [
        node.name
        for node, fate in zip(nodes, fates, strict=True)
        if fate == _READY and not (failing and not _after_failure(node, fates))
    ]


def _after_failure(node: _Node, fates: Sequence[int]) -> bool:
    return any(fates[number] in (_FAILED, _STOPPED) for number, _ in node.waits)


@dataclass(frozen=True)
class _Loop:
    """A ForEach under way: how many of its children run, which may start, and how it has ended if it has."""

    name: str
    running: int = 0
    ready: tuple[str, ...] = ()
    ending: str | None = None


def _iterate(node: _Node, states: Mapping[str, StepState], stopping: bool, failing: bool) -> _Loop:
    iterations = states[node.name].iterations
    if iterations is None:
        return _Loop(node.name, ending=STOPPED if stopping else None)
    rounds: list[tuple[int, list[int]]] = []
    ends: set[int] = set()
    running = 0
    for number in range(iterations):
        fates: list[int] = []
        for child in node.body:
            state = states.get(child_name(child.name, number))
            fates.append(_awaited(child.waits, fates) if state is None else _FATES[state.status])
        ends |= _unhandled(node.body, fates)
        running += fates.count(_RUNNING)
        rounds.append((number, fates))
    halted = failing or bool(ends)
    ready: list[str] = []
    left = 0
    for number, fates in rounds:
        left += fates.count(_READY)
        if not stopping:
            ready.extend(child_name(name, number) for name in _ready(node.body, fates, halted))
    ready = ready[: max(0, node.most - running)]
    ending = None
    if not running and not ready:
        ending = FAILED if _FAILED in ends else STOPPED if _STOPPED in ends or left else SUCCEEDED
    return _Loop(node.name, running, tuple(ready), ending)


_nodes: WeakKeyDictionary[Definition, tuple[_Node, ...]] = WeakKeyDictionary()


def _compiled(definition: Definition) -> tuple[_Node, ...]:
    """The definition's steps, without those in bodies, each behind what it waits for; made once."""
    found = _nodes.get(definition)
    if found is None:
        found = _nodes[definition] = tuple(_compile(definition))
    return found


def _compile(definition: Definition) -> Iterator[_Node]:
    order = ordered(definition)
    numbers: dict[str, int] = {}
    for step in order:
        if step.name in definition.iterated:
            continue
        waits = tuple((numbers[each.step], _WANTED[each.trigger]) for each in definition.dependencies(step.name))
        condition, branch = -1, True
        if step.parent is not None:
            around = definition.step(step.parent)
            condition, branch = numbers[around.name], step.name in {each.name for each in around.then}
        numbers[step.name] = len(numbers)
        if step.type == FOR_EACH:
            body = tuple(_body(definition, step, order))
            yield _Node(step.name, waits, condition, branch, True, body, int(step.arguments["MaxConcurrency"]))
        else:
            yield _Node(step.name, waits, condition, branch)


def _body(definition: Definition, loop: Step, order: Sequence[Step]) -> Iterator[_Node]:
    numbers: dict[str, int] = {}
    for step in order:
        if step.parent != loop.name:
            continue
        waits = [each for each in definition.dependencies(step.name) if each.step in numbers]
        numbers[step.name] = len(numbers)
        yield _Node(step.name, tuple((numbers[each.step], _WANTED[each.trigger]) for each in waits))
