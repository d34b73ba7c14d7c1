"""Selective execution: some steps run, the others' outputs are those of an earlier execution.

Between two selected steps, every step on every path must be selected. What a selected step waits for and is not itself
selected is taken from the source execution, where it must have succeeded. Steps behind the selected ones do not run.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from clary.systems.pipelines.language.definition import Definition
from clary.systems.pipelines.language.scheduling import SUCCEEDED, StepState
from clary.systems.pipelines.language.step_types import CONDITION


class SelectionError(ValueError):
    """Steps that cannot be selected so; the text says which and why."""


@dataclass(frozen=True)
class Selection:
    """selected: what runs, nested steps of a selected ForEach not counted. reused: what is taken from the source."""

    selected: frozenset[str]
    reused: frozenset[str]


def select(definition: Definition, names: Iterable[str]) -> Selection:
    """Raises SelectionError."""
    selected = frozenset(names)
    for name in sorted(selected):
        if name not in definition:
            raise SelectionError(f"SelectedSteps names step '{name[:64]}', which the pipeline does not have")
        if name in definition.iterated:
            raise SelectionError(
                f"Step '{name}' runs for each item of step '{definition.iterated[name]}': select that one"
            )
    below = _reached(selected, definition.successors.__getitem__)
    above = _reached(selected, definition.predecessors)
    between = sorted((below & above) - selected)
    if between:
        raise SelectionError(
            f"SelectedSteps must hold all steps between two selected ones: {', '.join(between)} must be selected too"
        )
    bodies = {name for name, loop in definition.iterated.items() if loop in selected}
    needed = {name for step in selected | bodies for name in definition.predecessors(step)}
    return Selection(selected, frozenset(needed - selected - bodies))


def check_source(definition: Definition, selection: Selection, source: Mapping[str, StepState] | None) -> None:
    """Raise SelectionError unless the source execution, None if there is none, has what the selected steps need."""
    for name in sorted(selection.reused):
        if source is None:
            raise SelectionError(
                f"The selected steps need the outputs of step '{name}': give a SourcePipelineExecutionArn"
            )
        state = source.get(name)
        if state is None or state.status != SUCCEEDED:
            raise SelectionError(
                f"The selected steps need the outputs of step '{name}', which did not succeed in the source execution"
            )
    for name in sorted(selection.selected):
        parent = definition.step(name).parent
        if parent is None or parent in selection.selected or definition.step(parent).type != CONDITION:
            continue
        taken = name in {step.name for step in definition.step(parent).then}
        if source is not None and source[parent].outcome is not taken:
            raise SelectionError(
                f"Step '{name}' is in the branch of '{parent}' that was not taken in the source execution"
            )


def _reached(names: frozenset[str], neighbours: Callable[[str], Iterable[str]]) -> set[str]:
    """Everything that is reached from any of `names`, these themselves only where they are reached from another."""
    found: set[str] = set()
    pending = list(names)
    while pending:
        for name in neighbours(pending.pop()):
            if name not in found:
                found.add(name)
                pending.append(name)
    return found
