"""What runs when: random pipelines, driven by a random executor, beside a small model of the rules."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clary.systems.pipelines.language.parsing import parse
from clary.systems.pipelines.language.scheduling import StepState, plan
from clary.systems.pipelines.language.selection import SelectionError, check_source, select

ENDED = {"Succeeded", "Failed", "Stopped"}
SATISFIED = {
    "Completed": {"Succeeded"},
    "Failed": {"Failed"},
    "Stopped": {"Stopped"},
    "Any": {"Succeeded", "Failed", "Stopped"},
}


def function(name, depends_on=()):
    return {"Name": name, "Type": "Lambda", "FunctionArn": "f", "DependsOn": list(depends_on)}


def condition(name, depends_on, then, otherwise):
    arguments = {"Conditions": [], "IfSteps": then, "ElseSteps": otherwise}
    return {"Name": name, "Type": "Condition", "Arguments": arguments, "DependsOn": list(depends_on)}


def loop(name, depends_on, body, most=2):
    arguments = {"IterableItems": '["a"]', "MaxConcurrency": most, "ForEachBody": body}
    return {"Name": name, "Type": "ForEach", "Arguments": arguments, "DependsOn": list(depends_on)}


def pipeline(*steps):
    return parse(json.dumps({"Steps": list(steps)}))


@st.composite
def pipelines(draw):
    """Steps that wait for earlier ones, nested up to twice, with loops and triggers."""
    names = iter(f"S{number}" for number in range(1000))

    def some(before):
        waits = draw(st.lists(st.sampled_from(before), max_size=3, unique=True)) if before else []
        triggers = st.sampled_from(["Completed"] * 5 + ["Failed", "Stopped", "Any"])
        return [{"Step": name, "Trigger": draw(triggers)} for name in waits]

    def steps(before, depth, most):
        found, before = [], list(before)
        for _ in range(draw(st.integers(1, most))):
            name, kind = next(names), draw(st.sampled_from("fffccl" if depth < 2 else "f"))
            waits = some(before)
            if kind == "c":
                found.append(condition(name, waits, steps(before, depth + 1, 3), steps(before, depth + 1, 2)))
            elif kind == "l":
                first, second = next(names), next(names)
                body = [function(first, some(before)), function(second, draw(st.sampled_from([[], [first]])))]
                found.append(loop(name, waits, body, draw(st.integers(1, 3))))
            else:
                found.append(function(name, waits))
            before.append(name)
        return found

    return pipeline(*steps([], 0, 8))


class Model:
    """The rules again, written for clearness: fates by recursion, no numbers, no order."""

    def __init__(self, definition, states):
        self.definition, self.states = definition, states
        self.found = {}

    def status(self, name):
        """A status, or Ready, Waiting or Never."""
        if name not in self.found:
            self.found[name] = self.states[name].status if name in self.states else self.fate(name)
        return self.found[name]

    def fate(self, name):
        step = self.definition.step(name)
        waits = [(self.status(each.step), SATISFIED[each.trigger]) for each in self.definition.dependencies(name)]
        if any(found in ENDED | {"Never"} and found not in wanted for found, wanted in waits):
            return "Never"
        parent = self.definition.step(step.parent) if step.parent else None
        if parent is not None and self.status(parent.name) == "Succeeded":
            branch = parent.then if self.states[parent.name].outcome else parent.otherwise
            if step not in branch:
                return "Never"
        return "Ready" if all(found in wanted for found, wanted in waits) else "Waiting"

    @property
    def outer(self):
        return [step for step in self.definition.all_steps if step.name not in self.definition.iterated]

    def unhandled(self):
        bad = []
        for failed in self.outer:
            if self.status(failed.name) not in ("Failed", "Stopped"):
                continue
            handlers = [
                step
                for step in self.outer
                for each in self.definition.dependencies(step.name)
                if each.step == failed.name and self.status(failed.name) in SATISFIED[each.trigger]
            ]
            if not any(self.status(step.name) != "Never" for step in handlers):
                bad.append(self.status(failed.name))
        return bad

    def may_start(self):
        """The steps outside of loops that may start, whatever the parallelism."""
        ready = [step.name for step in self.outer if self.status(step.name) == "Ready"]
        if self.unhandled():
            ready = [
                name
                for name in ready
                if any(self.status(each.step) != "Succeeded" for each in self.definition.dependencies(name))
            ]
        return ready


def running(definition, states):
    """The steps that take a place: all that run but loops."""
    loops = {step.name for step in definition.all_steps if step.type == "ForEach"}
    return [name for name, state in states.items() if state.status not in ENDED and name not in loops]


def start(definition, data, states, name):
    step = definition.step(name) if name in definition else None
    iterations = data.draw(st.integers(0, 4)) if step is not None and step.type == "ForEach" else None
    states[name] = StepState("Executing", iterations=iterations)


def end(definition, data, states, name):
    status = data.draw(st.sampled_from(["Succeeded"] * 6 + ["Failed", "Failed", "Stopped"]))
    decided = name in definition and definition.step(name).type == "Condition" and status == "Succeeded"
    states[name] = StepState(status, outcome=data.draw(st.booleans()) if decided else None)


def check_children(definition, states, started):
    """No child starts before those it waits for in its iteration, and no more of them than the loop allows."""
    for step in definition.all_steps:
        if step.type != "ForEach":
            continue
        children = {f"{each.name}-{number}": (each, number) for each in step.body for number in range(5)}
        under_way = [name for name in children if name in states and states[name].status not in ENDED]
        assert len(under_way) <= step.arguments["MaxConcurrency"]
        for name in set(children) & set(started):
            each, number = children[name]
            assert states[step.name].status == "Executing"
            assert number < states[step.name].iterations
            for wait in definition.dependencies(each.name):
                if wait.step in {other.name for other in step.body}:
                    assert states[f"{wait.step}-{number}"].status in SATISFIED[wait.trigger]


@settings(max_examples=40, deadline=None)
@given(pipelines(), st.one_of(st.none(), st.integers(1, 4)), st.data())
def test_whatever_happens_the_rules_hold(definition, parallelism, data):
    states = {}
    for _ in range(500):
        model = Model(definition, states)
        allowed = model.may_start()
        found = plan(definition, states, parallelism)
        outer = [name for name in found.start if name in definition]
        loops = {step.name for step in definition.all_steps if step.type == "ForEach"}
        assert set(outer) <= set(allowed)
        room = None if parallelism is None else parallelism - len(running(definition, states))
        if room is None:
            assert set(outer) == set(allowed)
        else:
            taken = [name for name in found.start if name not in loops]
            assert len(taken) <= max(room, 0)
            assert len(taken) >= min(max(room, 0), len(set(allowed) - loops))
            assert loops & set(allowed) == loops & set(outer)
        assert set(found.never) == {step.name for step in model.outer if model.status(step.name) == "Never"}
        assert found.failing == bool(model.unhandled())
        for name in found.start:
            assert name not in states
            start(definition, data, states, name)
        check_children(definition, states, found.start)
        for name, status in found.finish.items():
            inner = {f"{each.name}-{i}" for each in definition.step(name).body for i in range(5)} & set(states)
            assert all(states[child].status in ENDED for child in inner)
            states[name] = StepState(status)
        busy = running(definition, states)
        if found.outcome is not None:
            assert busy == []
            break
        assert busy or found.start or found.finish, "it goes on, and nothing goes on"
        if busy:
            end(definition, data, states, data.draw(st.sampled_from(busy)))
    model = Model(definition, states)
    ended = {model.status(step.name) for step in model.outer}
    bad = model.unhandled()
    expected = (
        "Failed"
        if "Failed" in bad
        else "Stopped"
        if bad
        else "CompletedWithFailures"
        if ended & {"Failed", "Stopped"}
        else "Succeeded"
    )
    assert found.outcome == expected
    if not bad:
        assert ended <= ENDED | {"Never"}
    again = {name: state for name, state in states.items() if state.status == "Succeeded"}
    assert plan(definition, again).outcome in (None, "Succeeded"), "a retry of the execution goes on"


def states(**statuses):
    return {name: StepState(status) for name, status in statuses.items()}


def test_a_branch_that_is_not_taken_takes_what_waits_for_it_along():
    definition = pipeline(
        condition("C", [], [function("Yes")], [function("No")]), function("After", ["Yes"]), function("Both", ["C"])
    )
    assert plan(definition, {}).start == ("C",)
    found = plan(definition, {"C": StepState("Succeeded", outcome=False)})
    assert (found.start, found.never) == (("No", "Both"), ("Yes", "After"))
    done = {"C": StepState("Succeeded", outcome=False), **states(No="Succeeded", Both="Succeeded")}
    assert plan(definition, done).outcome == "Succeeded"


def test_after_a_failure_what_runs_ends_and_nothing_else_starts():
    definition = pipeline(function("A"), function("B"), function("Next", ["B"]), function("Other", ["A"]))
    assert plan(definition, states(A="Failed", B="Executing")).outcome is None
    found = plan(definition, states(A="Failed", B="Succeeded"))
    assert (found.start, found.outcome) == ((), "Failed")
    assert plan(definition, states(B="Succeeded")).start == ("A", "Next")


def test_a_failure_that_a_step_waits_for_is_handled():
    definition = pipeline(
        function("A"), function("Tell", [{"Step": "A", "Trigger": "Failed"}]), function("B"), function("Next", ["B"])
    )
    failed = states(A="Failed", B="Succeeded")
    assert plan(definition, failed).start == ("Tell", "Next")
    assert plan(definition, failed | states(Tell="Succeeded", Next="Succeeded")).outcome == "CompletedWithFailures"
    assert plan(definition, states(A="Succeeded", B="Succeeded", Next="Succeeded")).outcome == "Succeeded"
    unhandled = states(A="Failed", B="Failed")
    assert plan(definition, unhandled).start == ("Tell",)
    assert plan(definition, unhandled | states(Tell="Succeeded")).outcome == "Failed"


def test_a_stopping_execution_starts_nothing():
    definition = pipeline(function("A"), function("B"), function("C", ["A"]), loop("L", [], [function("D")]))
    under_way = (
        states(A="Succeeded", B="Stopping")
        | {"L": StepState("Stopping", iterations=3)}
        | {"D-0": StepState("Stopping")}
    )
    assert plan(definition, under_way, stopping=True) == plan(definition, under_way, 1, stopping=True)
    assert plan(definition, under_way, stopping=True).start == ()
    found = plan(definition, under_way | states(B="Stopped") | {"D-0": StepState("Stopped")}, stopping=True)
    assert found.finish == {"L": "Stopped"}
    assert plan(definition, states(A="Succeeded", B="Stopped", L="Stopped"), stopping=True).outcome == "Stopped"
    assert plan(definition, {}, stopping=True).outcome == "Stopped"


def test_a_loop_runs_its_body_for_each_item():
    definition = pipeline(
        function("A"), loop("L", ["A"], [function("X"), function("Y", ["X"])], most=2), function("Z", ["L"])
    )
    ran = states(A="Succeeded")
    assert plan(definition, ran).start == ("L",)
    ran["L"] = StepState("Executing", iterations=2)
    assert plan(definition, ran).start == ("X-0", "X-1")
    assert plan(definition, ran, 1).start == ("X-0",)
    ran |= {"X-0": StepState("Succeeded"), "X-1": StepState("Executing")}
    assert plan(definition, ran).start == ("Y-0",)
    ran |= {"X-1": StepState("Failed"), "Y-0": StepState("Succeeded")}
    assert plan(definition, ran).finish == {"L": "Failed"}
    begun_anew = {**ran, "L": StepState("Executing", iterations=2)}
    del begun_anew["X-1"]
    assert plan(definition, begun_anew).start == ("X-1",)
    ran |= {"X-1": StepState("Succeeded"), "Y-1": StepState("Succeeded")}
    assert plan(definition, ran).finish == {"L": "Succeeded"}
    assert plan(definition, ran | states(L="Succeeded")).start == ("Z",)
    assert plan(definition, states(A="Succeeded") | {"L": StepState("Executing", iterations=0)}).finish == {
        "L": "Succeeded"
    }


def test_selected_steps_run_with_the_outputs_of_another_execution():
    definition = pipeline(
        function("A"),
        function("B", ["A"]),
        condition("C", ["B"], [function("D", ["B"])], [function("E")]),
        function("F", ["D"]),
    )
    selection = select(definition, ["B", "C", "D"])
    assert selection.reused == {"A"}
    taken = states(A="Succeeded")
    check_source(definition, selection, taken)
    assert plan(definition, taken, only=selection.selected).start == ("B",)
    done = taken | states(B="Succeeded", D="Succeeded") | {"C": StepState("Succeeded", outcome=True)}
    assert plan(definition, done, only=selection.selected).outcome == "Succeeded"
    for names, says in ((["A", "C"], "B must be selected too"), (["X"], "does not have"), (["A", "F"], "B, C, D")):
        with pytest.raises(SelectionError, match=says):
            select(definition, names)
    with pytest.raises(SelectionError, match="did not succeed"):
        check_source(definition, selection, states(A="Failed"))
    with pytest.raises(SelectionError, match="SourcePipelineExecutionArn"):
        check_source(definition, selection, None)
    inner = select(definition, ["D"])
    assert inner.reused == {"B", "C"}
    with pytest.raises(SelectionError, match="was not taken"):
        check_source(definition, inner, states(B="Succeeded") | {"C": StepState("Succeeded", outcome=False)})
