"""Values: what functions come to, with which types, and what has none."""

import json

import pytest

from clary.kernel.wire import check, service
from clary.systems.pipelines.language.caching import cache_key, duration_seconds, fresh, is_cached
from clary.systems.pipelines.language.conditions import compare, holds
from clary.systems.pipelines.language.definition import CachePolicy
from clary.systems.pipelines.language.errors import Unresolvable
from clary.systems.pipelines.language.parameters import ParameterError, effective
from clary.systems.pipelines.language.parsing import parse
from clary.systems.pipelines.language.retries import wait_before_retry
from clary.systems.pipelines.language.values import items_of, resolve, resolved_arguments, resolved_siblings
from clary.systems.pipelines.steps.outputs import BadOutput, declared

ROLE = "arn:aws:iam::123456789012:role/pipelines"


class Execution:
    """A scope of what a test gives it."""

    def __init__(self, *, parameters=(), steps=(), files=(), objects=(), item=None):
        self.parameters, self.steps = dict(parameters), dict(steps)
        self.files, self.objects, self.current = dict(files), dict(objects), item

    def parameter(self, name):
        return self.parameters[name]

    def execution(self, name):
        return f"the-{name}"

    def experiment(self, name):
        return f"an-{name}"

    def step(self, name):
        return self.steps[name]

    def property_file(self, step, file):
        return self.files[step, file]

    def json_at(self, uri):
        return self.objects[uri]

    def item(self):
        return self.current


def get(path):
    return {"Get": path}


def join(*values, on=""):
    return {"Std:Join": {"On": on, "Values": list(values)}}


def stored(path, uri="s3://b/k.json"):
    return {"Std:JsonGet": {"S3Uri": uri, "Path": path}}


OUTPUTS = [
    {"OutputName": "train", "S3Output": {"S3Uri": "s3://b/train"}},
    {"OutputName": "test", "S3Output": {"S3Uri": "s3://b/test"}},
]
SCOPE = Execution(
    parameters={"N": 5, "F": 0.5, "B": True, "S": "text"},
    steps={
        "P": {"ProcessingOutputConfig": {"Outputs": OUTPUTS}, "Environment": {"a.b": "x"}, "ExitMessage": None},
        "L": {"OutputParameters": {"id": "7", "ok": False}},
        "T": {"FinalMetricDataList": [{"MetricName": "auc", "Value": 0.75}]},
    },
    files={("P", "Report"): {"metrics": {"mse": {"value": 2.5}}, "list": [[1, 2], {"odd key": "v"}]}},
    objects={"s3://b/k.json": {"Result": [1, {"k": "v"}]}},
    item='{"n": 3, "deep": {"list": ["x"]}}',
)


@pytest.mark.parametrize(
    ("value", "comes_to"),
    [
        ("plain", "plain"),
        ({"a": [1, {"b": get("Parameters.N")}]}, {"a": [1, {"b": 5}]}),
        (get("Parameters.F"), 0.5),
        (get("Execution.PipelineName"), "the-PipelineName"),
        (join("s3:/", get("Parameters.S"), get("Parameters.N"), 1.5, True, on="/"), "s3://text/5/1.5/true"),
        (join(get("Parameters.B")), "true"),
        (join("a", join("b", "c", on="-")), "ab-c"),
        (join(), ""),
        (get("Steps.P.ProcessingOutputConfig.Outputs['test'].S3Output.S3Uri"), "s3://b/test"),
        (get('Steps.P.ProcessingOutputConfig.Outputs["train"].S3Output.S3Uri'), "s3://b/train"),
        (get("Steps.P.ProcessingOutputConfig.Outputs[0].OutputName"), "train"),
        (get("Steps.P.Environment['a.b']"), "x"),
        (get("Steps.L.OutputParameters['ok']"), False),
        (get("Steps.T.FinalMetricDataList['auc'].Value"), 0.75),
        (stored("Result[1].k"), "v"),
        (stored("$.Result[0]", join("s3://", "b/k.json")), 1),
        ({"Std:JsonGet": {"PropertyFile": get("Steps.P.PropertyFiles.Report"), "Path": "metrics.mse.value"}}, 2.5),
        ({"Std:JsonGet": {"PropertyFile": get("Steps.P.PropertyFiles.Report"), "Path": "list[0][1]"}}, 2),
        ({"Std:JsonGet": {"PropertyFile": get("Steps.P.PropertyFiles.Report"), "Path": "list[1]['odd key']"}}, "v"),
        (get("ForEach.CurrentItem"), SCOPE.current),
        (get("ForEach.CurrentItem.n"), 3),
        (get("ForEach.CurrentItem['deep'].list[0]"), "x"),
        ({"Get": "Parameters.N", "beside": 1}, {"Get": "Parameters.N", "beside": 1}),
    ],
)
def test_what_values_come_to(value, comes_to):
    found = resolve(value, SCOPE)
    assert found == comes_to
    assert type(found) is type(comes_to)


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (get("Steps.P.ProcessingOutputConfig.Outputs['none'].S3Output.S3Uri"), "no element of the list has that name"),
        (get("Steps.P.ProcessingOutputConfig.Outputs[2].OutputName"), "the list has 2 elements"),
        (get("Steps.P.ExitMessage"), "the value is null"),
        (get("Steps.Nobody.Status"), "there is no such value"),
        (stored("Result.k"), "it has no Result.k"),
        (stored("Other"), "there is only Result"),
        (stored("Result[0].deeper"), "a single value has no members"),
        (join(get("Steps.P.Environment")), "cannot be joined"),
        (stored("Result", get("Parameters.N")), "is not a string"),
    ],
)
def test_what_has_no_value_says_why(value, says):
    with pytest.raises(Unresolvable, match="cannot be resolved") as error:
        resolve(value, SCOPE)
    assert says in str(error.value)


def training():
    arguments = {
        "AlgorithmSpecification": {"TrainingImage": "image", "TrainingInputMode": "File"},
        "RoleArn": ROLE,
        "OutputDataConfig": {"S3OutputPath": join("s3://b/", get("Execution.PipelineExecutionId"))},
        "ResourceConfig": {
            "InstanceCount": get("Parameters.Count"),
            "InstanceType": "ml.m5.large",
            "VolumeSizeInGB": get("Parameters.Size"),
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        "HyperParameters": {"n": get("Parameters.Count"), "f": get("Parameters.Rate"), "b": get("Parameters.Flag")},
        "EnableNetworkIsolation": get("Parameters.Isolated"),
        "Environment": None,
    }
    return {
        "Parameters": [
            {"Name": "Count", "Type": "Integer"},
            {"Name": "Rate", "Type": "Float", "DefaultValue": 1},
            {"Name": "Flag", "Type": "Boolean", "DefaultValue": False},
            {"Name": "Size", "DefaultValue": "30"},
            {"Name": "Isolated", "DefaultValue": "True", "EnumValues": ["True", "False"]},
        ],
        "Steps": [
            {
                "Name": "Train",
                "Type": "Training",
                "Arguments": arguments,
                "CacheConfig": {"Enabled": True, "ExpireAfter": "30dT5h"},
                "RetryPolicies": [
                    {
                        "ExceptionType": ["SageMaker.CAPACITY_ERROR"],
                        "IntervalSeconds": 2,
                        "BackoffRate": 1.5,
                        "MaxAttempts": 2,
                    },
                    {"ExceptionType": ["Step.THROTTLING"], "IntervalSeconds": 40, "ExpireAfterMin": 1},
                ],
            }
        ],
    }


def test_arguments_have_the_types_of_their_operation():
    definition = parse(json.dumps(training()))
    scope = Execution(parameters=effective(definition, {"Count": "2", "Flag": "True"}))
    found = resolved_arguments(definition.step("Train"), scope)
    assert found["HyperParameters"] == {"n": "2", "f": "1.0", "b": "true"}
    assert found["ResourceConfig"] == {"InstanceCount": 2, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 30}
    assert found["EnableNetworkIsolation"] is True
    assert "Environment" not in found
    check(service("sagemaker").operations["CreateTrainingJob"], {**found, "TrainingJobName": "job"})
    assert resolved_siblings(definition.step("Train"), scope) == {}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "'Count' is undefined"),
        ({"Count": "1", "Other": "x"}, "Unknown parameter 'Other'"),
        ({"Count": "one"}, "Expected Integer but found 'one'"),
        ({"Count": "1_0"}, "Expected Integer"),
        ({"Count": "1", "Rate": "nan"}, "Expected Float"),
        ({"Count": "1", "Rate": "1_0"}, "Expected Float"),
        ({"Count": "1", "Flag": "yes"}, "Expected Boolean"),
        ({"Count": "1", "Size": ""}, "too short"),
        ({"Count": "1", "Isolated": "Maybe"}, "not one of its values: True, False"),
    ],
)
def test_parameters_that_an_execution_cannot_start_with(given, says):
    with pytest.raises(ParameterError, match=says):
        effective(parse(json.dumps(training())), given)


def test_the_key_of_a_run_is_of_what_decides_its_result():
    def key(**changes):
        document = training()
        for name, value in changes.items():
            document["Steps"][0]["Arguments"][name] = value
        definition = parse(json.dumps(document))
        step = definition.step("Train")
        assert is_cached(step)
        return cache_key(step, resolved_arguments(step, Execution(parameters=effective(definition, {"Count": "1"}))))

    same = key()
    assert key(OutputDataConfig={"S3OutputPath": "s3://elsewhere/"}) == same
    assert key(StoppingCondition={"MaxRuntimeInSeconds": 61}) == same
    assert key(HyperParameters={"b": "false", "f": "1.0", "n": "1"}) == same
    assert key(HyperParameters={"b": "false", "f": "1.0", "n": "2"}) != same
    assert key(Environment={"A": "b"}) != same


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("PT1H", 3600),
        ("30d", 30 * 86400),
        ("5y", 5 * 365 * 86400),
        ("T16m", 960),
        ("30dT5h", 30 * 86400 + 5 * 3600),
        ("P1Y2M3W4DT5H6M7S", (365 + 60 + 21 + 4) * 86400 + 5 * 3600 + 367),
    ],
)
def test_durations(text, seconds):
    assert duration_seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "P", "PT", "1", "1x", "T", "5h", "P1.5D", "-P1D", "P1DT", "1" * 100 + "d"])
def test_what_is_no_duration(text):
    with pytest.raises(ValueError, match="ISO 8601"):
        duration_seconds(text)


def test_a_run_is_used_until_it_is_too_old():
    assert fresh(CachePolicy(True, "PT1M"), 1000, 1060)
    assert not fresh(CachePolicy(True, "PT1M"), 1000, 1061)
    assert fresh(CachePolicy(True), 0, 1e12)


@pytest.mark.parametrize(
    ("operator", "left", "right", "found"),
    [
        ("Equals", 1, 1.0, True),
        ("Equals", "1", "1.0", False),
        ("Equals", "1", 1.0, True),
        ("Equals", "true", True, True),
        ("NotEquals", "a", "b", True),
        ("GreaterThan", "10", 9, True),
        ("GreaterThan", "10", "9", False),
        ("LessThanOrEqualTo", 2.5, 6, True),
        ("LessThan", 6, 6, False),
        ("GreaterThanOrEqualTo", 6, 6.0, True),
    ],
)
def test_comparisons(operator, left, right, found):
    assert compare(operator, left, right) is found


@pytest.mark.parametrize(
    ("operator", "left", "right"),
    [("Equals", "a", 1), ("Equals", True, 1), ("LessThan", False, True), ("GreaterThan", "abc", 1)],
)
def test_what_does_not_compare_says_so(operator, left, right):
    with pytest.raises(Unresolvable, match="do not compare"):
        compare(operator, left, right)


def test_conditions_are_anded_and_nested():
    less = {"Type": "LessThan", "LeftValue": get("Parameters.N"), "RightValue": 6}
    within = {"Type": "In", "QueryValue": get("Parameters.S"), "Values": ["a", 1, get("Parameters.S")]}
    never = {"Type": "Not", "Condition": less}
    assert holds([], SCOPE)
    assert holds([less, within], SCOPE)
    assert not holds([less, never], SCOPE)
    assert holds([{"Type": "Or", "Conditions": [never, within]}], SCOPE)
    assert not holds([{"Type": "Or", "Conditions": []}], SCOPE)
    assert not holds([{"Type": "NotIn", "QueryValue": 1, "Values": [2, "1"]}], SCOPE)
    missing = {"Type": "Equals", "LeftValue": stored("Nothing"), "RightValue": 1}
    assert not holds([never, missing], SCOPE)
    with pytest.raises(Unresolvable, match="it has no Nothing"):
        holds([missing], SCOPE)


def test_items_are_a_list_or_a_list_as_text():
    assert items_of([1, "a"]) == [1, "a"]
    assert items_of('["a", {"b": 1}]') == ["a", {"b": 1}]
    for wrong in ("a", '{"a": 1}', 5, "[" * 100_000, [0] * 5001):
        with pytest.raises(Unresolvable, match="IterableItems"):
            items_of(wrong)


def test_a_failure_is_retried_as_the_policies_say():
    step = parse(json.dumps(training())).step("Train")
    waits = [wait_before_retry(step, "SageMaker.CAPACITY_ERROR", retries, 0) for retries in range(3)]
    assert waits == [2, 3, None]
    assert wait_before_retry(step, "Step.THROTTLING", 0, 0) == 40
    assert wait_before_retry(step, "Step.THROTTLING", 1, 41) is None
    assert wait_before_retry(step, "Step.SERVICE_FAULT", 4, 0) == 16
    assert wait_before_retry(step, "Step.SERVICE_FAULT", 5, 0) is None
    assert wait_before_retry(step, "SageMaker.RESOURCE_LIMIT", 0, 0) is None


def test_outputs_are_of_the_types_that_the_step_declares():
    types = {"s": None, "i": "Integer", "f": "Float", "b": "Boolean"}
    outputs = [{"OutputName": name, "OutputType": type_} for name, type_ in types.items()]
    step = {"Name": "F", "Type": "Lambda", "FunctionArn": "f", "OutputParameters": outputs}
    step = parse(json.dumps({"Steps": [step]})).step("F")
    given = {"s": 1, "i": "2", "f": "2.5", "b": "True", "more": None}
    assert declared(step, given, "The function") == {"s": "1", "i": 2, "f": 2.5, "b": True}
    for wrong in ({"i": 1.5}, {"i": "x"}, {"f": "nan"}, {"f": 10**400}, {"f": True}, {"b": "yes"}, {"b": None}):
        with pytest.raises(BadOutput, match="which is no"):
            declared(step, given | wrong, "The function")
    del given["s"]
    with pytest.raises(BadOutput, match="no output 's'"):
        declared(step, given, "The function")
