"""Steps as a graph: their order, their cycles, and the branches they are in."""

from collections.abc import Mapping

from clary.systems.pipelines.language.definition import Definition, Step
from clary.systems.pipelines.language.step_types import CONDITION, FOR_EACH

_START = "\n"
"""Behind the name of a ForEach: its beginning, which its body waits for, as it waits for its body to end."""


def _waits(definition: Definition) -> dict[str, tuple[str, ...]]:
    """What each node waits for. A ForEach is two nodes: where it begins and where it has ended."""
    found: dict[str, tuple[str, ...]] = {}
    for step in definition.all_steps:
        names = tuple(each.step for each in definition.dependencies(step.name))
        loop = definition.iterated.get(step.name)
        if loop is not None:
            names = (loop + _START, *names)
        if step.type == FOR_EACH:
            found[step.name + _START] = names
            names = (step.name + _START, *(each.name for each in step.body))
        found[step.name] = names
    return found


def cycle(definition: Definition) -> tuple[str, ...] | None:
    """Steps of which each waits for the next and the last for the first; None where there are none such."""
    waits = _waits(definition)
    done: set[str] = set()
    for first in waits:
        if first in done:
            continue
        trail, on_trail = [first], {first: 0}
        pending = [iter(waits[first])]
        while pending:
            following = next(pending[-1], None)
            if following is None:
                pending.pop()
                last = trail.pop()
                del on_trail[last]
                done.add(last)
            elif following in on_trail:
                names = [name.removesuffix(_START) for name in trail[on_trail[following] :]]
                return tuple(dict.fromkeys(names))
            elif following not in done:
                on_trail[following] = len(trail)
                trail.append(following)
                pending.append(iter(waits[following]))
    return None


def ordered(definition: Definition) -> tuple[Step, ...]:
    """All steps, each behind those it waits for, otherwise as they are written. The definition must have no cycle.

    A ForEach stands behind what it waits for and before its body.
    """
    waits = _waits(definition)
    found: dict[str, Step] = {}
    done: set[str] = set()
    for step in definition.all_steps:
        pending = [(step.name + _START if step.type == FOR_EACH else step.name, False)]
        while pending:
            node, ready = pending.pop()
            if node in done:
                continue
            if not ready:
                pending.append((node, True))
                pending.extend((each, False) for each in reversed(waits[node]) if each not in done)
                continue
            done.add(node)
            name = node.removesuffix(_START)
            found.setdefault(name, definition.step(name))
    return tuple(found.values())


class Branches:
    """Which branches of which conditions each step is in."""

    def __init__(self, definition: Definition) -> None:
        self._of: dict[str, Mapping[str, bool]] = {}
        for step in definition.steps:
            self._enter(step, {})

    def _enter(self, step: Step, around: Mapping[str, bool]) -> None:
        self._of[step.name] = around
        if step.type == CONDITION:
            for each in step.then:
                self._enter(each, {**around, step.name: True})
            for each in step.otherwise:
                self._enter(each, {**around, step.name: False})
        for each in step.body:
            self._enter(each, around)

    def of(self, name: str) -> Mapping[str, bool]:
        return self._of[name]

    def contradiction(self, one: str, other: str) -> str | None:
        """A condition whose branches keep two steps from ever running both; None where there is none."""
        mine, theirs = self._of[one], self._of[other]
        return next((name for name, branch in mine.items() if theirs.get(name, branch) != branch), None)
