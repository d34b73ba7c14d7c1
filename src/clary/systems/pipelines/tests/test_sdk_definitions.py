"""Definitions as both SDKs write them, with the edges of their own graphs; and what becomes of them when spoiled.

Each file in `definitions/` is `{"definition", "edges"}`: `Pipeline.definition()` and `PipelineGraph.adjacency_list`
of sagemaker 2.257.7 and 3.27.0.
"""

import json
import re
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clary.kernel.wire import check, service
from clary.systems.pipelines.language.errors import DefinitionError
from clary.systems.pipelines.language.parsing import parse
from clary.systems.pipelines.language.scheduling import plan
from clary.systems.pipelines.language.step_types import STEP_TYPES
from clary.systems.pipelines.language.values import resolved_arguments

FILES = {path.stem: path for path in sorted((Path(__file__).parent / "definitions").glob("*.json"))}
UNSEEN = {("DataQuality", "ModelQuality")}
"""Edges that the SDK's graph lacks: it does not look at the members beside Arguments."""
REFUSED = {"v2_emr": "EMR", "v3_serverless": "EMRServerless"}
READ = [name for name in FILES if name not in REFUSED]


@cache
def document(name):
    return json.loads(FILES[name].read_text())


def read(name):
    return parse(json.dumps(document(name)["definition"]))


@pytest.mark.parametrize("name", READ)
def test_what_an_sdk_writes_is_read_with_its_edges(name):
    definition, edges = read(name), document(name)["edges"]
    assert {step.name for step in definition.all_steps} == set(edges)
    found = {step: set(after) for step, after in definition.successors.items()}
    for step, after in edges.items():
        hoisted = {definition.iterated[each] for each in found[step] if each in definition.iterated} - {step}
        unseen = {each for each in found[step] if (step, each) in UNSEEN}
        assert found[step] - hoisted - unseen <= set(after) <= found[step], step


@pytest.mark.parametrize(("name", "type_"), REFUSED.items())
def test_types_that_have_no_room_are_refused_when_they_are_given(name, type_):
    with pytest.raises(DefinitionError, match=rf"Steps of type {type_} are not supported by Clary \(step '"):
        read(name)


class Anything:
    """A scope in which everything has a value of the type that its place in the output says."""

    def __init__(self, definition):
        self.definition = definition

    def parameter(self, name):
        return self.definition.parameter(name).default or "a-text"

    def execution(self, name):
        return f"a-{name}"

    def step(self, name):
        step = self.definition.step(name)
        found = {name: "s3://b/k" for name in STEP_TYPES[step.type].properties}
        found |= {"OutputParameters": {each["OutputName"]: "x" for each in step.document.get("OutputParameters") or ()}}
        for operation in STEP_TYPES[step.type].described:
            found |= sample(service("sagemaker").operations[operation].output, 0)
        outputs = step.arguments.get("ProcessingOutputConfig", {}).get("Outputs", ())
        if outputs:
            found["ProcessingOutputConfig"] = {
                "Outputs": [{**each, "S3Output": {"S3Uri": "s3://b/k"}} for each in outputs]
            }
        found["FinalMetricDataList"] = [{"MetricName": "validation:rmse", "Value": 0.5}]
        return found

    def property_file(self, step, file):
        return {}

    def json_at(self, uri):
        return {"Result": [1, {"k": 2}]}

    def item(self):
        return {"n": 1, "a": {"b": 2}}


class Everything(dict):
    """A map that has a value for whatever key."""

    def __init__(self, value):
        super().__init__()
        self.value = value

    def __contains__(self, key):
        return True

    def __missing__(self, key):
        return self.value


def sample(shape, depth):
    """A value of a shape, as an operation might answer."""
    if shape.type == "structure":
        members = {} if depth > 6 else shape.members
        return {name: sample(use.shape, depth + 1) for name, use in members.items()}
    if shape.type == "list":
        return [sample(shape.member.shape, depth + 1)]
    if shape.type == "map":
        return Everything(sample(shape.value.shape, depth + 1)) if depth < 7 else {}
    if shape.type == "string":
        return shape.enum[0] if shape.enum else "s3://b/k" if re.search("Ur[il]|Path", shape.name) else "x"
    return {"boolean": True, "integer": 1, "long": 1, "float": 0.5, "double": 0.5}.get(shape.type, 0)


@pytest.mark.parametrize("name", READ)
def test_resolved_arguments_are_what_the_operation_takes(name):
    definition = read(name)
    for step in definition.all_steps:
        type_ = STEP_TYPES[step.type]
        if type_.create is None:
            continue
        arguments = resolved_arguments(step, Anything(definition))
        assert "Get" not in json.dumps(arguments).replace("GetDa", "")
        check(
            service("sagemaker").operations[type_.create],
            {**dict.fromkeys(type_.generated, "a-name"), **arguments},
        )


FUNCTIONS = st.sampled_from(
    [
        {"Get": "Parameters.N"},
        {"Get": "Steps.A.Status"},
        {"Get": "Steps.AbaloneProcess.ProcessingJobName"},
        {"Get": "Execution.PipelineName"},
        {"Get": "ForEach.CurrentItem"},
        {"Get": ""},
        {"Get": 1},
        {"Std:Join": {"On": 1, "Values": []}},
        {"Std:Join": {"Values": [{"Get": "Parameters.Items"}, {}]}},
        {"Std:JsonGet": {"Path": "a"}},
        {"Std:JsonGet": {"Path": "a", "S3Uri": {"Std:Join": {"Values": ["s3://b"]}}}},
        {"Std:Other": {}},
    ]
)
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=12),
    st.sampled_from(["A", "Each", "Body-0", "AbaloneMSECond", "Training", "ForEach", "Condition", "Any", "PT1H"]),
    st.lists(st.one_of(st.text(max_size=5), st.integers(), FUNCTIONS), max_size=3),
    st.dictionaries(st.text(max_size=5), st.integers(), max_size=3),
    FUNCTIONS,
)


def places(value, found):
    """Every container in a document, with each of its keys."""
    if isinstance(value, dict | list):
        for key in range(len(value)) if isinstance(value, list) else list(value):
            found.append((value, key))
            places(value[key], found)
    return found


def spoil(draw, whole):
    found = places(whole, [])
    if not found:
        return
    container, key = found[draw(st.integers(0, len(found) - 1))]
    change = draw(st.sampled_from(["replace", "remove", "copy", "rename", "twice", "name"]))
    if change == "remove":
        del container[key]
    elif change == "copy":
        other, place = found[draw(st.integers(0, len(found) - 1))]
        container[key] = json.loads(json.dumps(other[place]))
    elif change == "rename" and isinstance(container, dict):
        container[draw(st.sampled_from(["Name", "Get", "Steps", "x"]))] = container.pop(key)
    elif change == "twice" and isinstance(container, list):
        container.append(json.loads(json.dumps(container[key])))
    elif change == "name" and isinstance(container[key], str):
        names = ["A", "Body", "Each", "AbaloneEval", "AbaloneMSEFail", "Nobody"]
        container[key] = container[key].replace(draw(st.sampled_from(names)), draw(st.sampled_from(names)))
    else:
        container[key] = json.loads(json.dumps(draw(VALUES)))


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(["v2_abalone", "v3_foreach", "v3_triggers", "v2_checks", "v2_lambdas", "v3_tuning"]), st.data())
def test_a_spoiled_definition_is_good_or_refused_where_it_is_spoiled(name, data):
    whole = json.loads(json.dumps(document(name)["definition"]))
    for _ in range(data.draw(st.integers(1, 3))):
        spoil(data.draw, whole)
    refused = found = None
    try:
        found = parse(json.dumps(whole))
    except DefinitionError as error:
        refused = error
    if refused is not None:
        assert str(refused).startswith("Unable to parse pipeline definition. ")
        assert refused.path or refused.problem.startswith(("Missing", "Unknown definition member", "It is"))
        assert refused.step is None or refused.path.startswith("Steps[")
    else:
        planned = plan(found, {})
        assert planned.start
        assert planned.outcome is None
