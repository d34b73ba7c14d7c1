"""Definitions: what is read of them, and that what is wrong is refused at its place."""

import json
from copy import deepcopy

import pytest

from clary.systems.pipelines.language.errors import DefinitionError
from clary.systems.pipelines.language.parsing import parse

ROLE = "arn:aws:iam::123456789012:role/pipelines"


def processing(name="Prepare", **more):
    return {
        "Name": name,
        "Type": "Processing",
        "Arguments": {
            "ProcessingResources": {
                "ClusterConfig": {
                    "InstanceType": "ml.m5.large",
                    "InstanceCount": {"Get": "Parameters.Count"},
                    "VolumeSizeInGB": 30,
                }
            },
            "AppSpecification": {"ImageUri": "image", "ContainerEntrypoint": ["python3", "prepare.py"]},
            "RoleArn": ROLE,
            "ProcessingOutputConfig": {
                "Outputs": [
                    {
                        "OutputName": "train",
                        "S3Output": {
                            "S3Uri": {"Std:Join": {"On": "/", "Values": ["s3:/", {"Get": "Parameters.Bucket"}]}},
                            "LocalPath": "/opt/ml/processing/train",
                            "S3UploadMode": "EndOfJob",
                        },
                    }
                ]
            },
        },
        "PropertyFiles": [{"PropertyFileName": "Report", "OutputName": "train", "FilePath": "report.json"}],
        "CacheConfig": {"Enabled": True, "ExpireAfter": "PT1H"},
        **more,
    }


def function(name, arguments=None, **more):
    return {"Name": name, "Type": "Lambda", "FunctionArn": "arn:f", "Arguments": arguments or {}, **more}


def condition(name, conditions, then=(), otherwise=()):
    arguments = {"Conditions": conditions, "IfSteps": list(then), "ElseSteps": list(otherwise)}
    return {"Name": name, "Type": "Condition", "Arguments": arguments}


def report(path="metrics.mse"):
    return {"Std:JsonGet": {"PropertyFile": {"Get": "Steps.Prepare.PropertyFiles.Report"}, "Path": path}}


def document():
    output = {"Get": "Steps.Prepare.ProcessingOutputConfig.Outputs['train'].S3Output.S3Uri"}
    return {
        "Version": "2020-12-01",
        "Metadata": {},
        "Parameters": [
            {"Name": "Count", "Type": "Integer", "DefaultValue": 1},
            {"Name": "Bucket", "Type": "String", "DefaultValue": "data", "EnumValues": ["data", "more"]},
        ],
        "PipelineExperimentConfig": {
            "ExperimentName": {"Get": "Execution.PipelineName"},
            "TrialName": {"Get": "Execution.PipelineExecutionId"},
        },
        "Steps": [
            processing(),
            condition(
                "Check",
                [{"Type": "LessThanOrEqualTo", "LeftValue": report(), "RightValue": 6.0}],
                [function("Tell", {"data": output}, OutputParameters=[{"OutputName": "id", "OutputType": "String"}])],
                [{"Name": "Stop", "Type": "Fail", "Arguments": {"ErrorMessage": "too far off"}}],
            ),
            function("After", {"id": {"Get": "Steps.Tell.OutputParameters['id']"}}, DependsOn=["Check"]),
        ],
    }


def test_a_definition_is_read():
    definition = parse(json.dumps(document()))
    assert [step.name for step in definition.all_steps] == ["Prepare", "Check", "Tell", "Stop", "After"]
    assert definition.predecessors("Prepare") == set()
    assert definition.predecessors("Check") == {"Prepare"}
    assert definition.predecessors("Tell") == {"Prepare", "Check"}
    assert definition.predecessors("After") == {"Check", "Tell"}
    assert definition.step("Prepare").property_file("Report").path == "report.json"
    assert definition.step("Check").then == (definition.step("Tell"),)


def changed(path, value):
    """The document with `value` at a path of keys and numbers; a value of None takes it out."""
    whole = deepcopy(document())
    at = whole
    for key in path[:-1]:
        at = at[key]
    if value is None:
        del at[path[-1]]
    else:
        at[path[-1]] = value
    return json.dumps(whole)


PREPARE, CHECK, AFTER = ("Steps", 0), ("Steps", 1), ("Steps", 2)
ARGUMENTS = (*PREPARE, "Arguments")
FIRST = (*CHECK, "Arguments", "Conditions", 0)
CLUSTER = (*ARGUMENTS, "ProcessingResources", "ClusterConfig")


@pytest.mark.parametrize(
    ("path", "value", "step", "place", "says"),
    [
        (("Steps",), None, None, "", "Missing required member 'Steps'"),
        (("Steps",), {}, None, "Steps", "Expecting start of Json Array"),
        (("Stepz",), [], None, "", "Unknown definition member 'Stepz'"),
        (("Version",), "2021-01-01", None, "Version", "must be 2020-12-01"),
        (("MlflowConfig",), {"a": 1}, None, "MlflowConfig", "not supported"),
        (("Parameters", 0, "DefaultValue"), "one", None, "Parameters[0].DefaultValue", "not a value of type Integer"),
        (("Parameters", 0, "Name"), "Bucket", None, "Parameters[1].Name", "Duplicate parameter name"),
        (("Parameters", 1, "DefaultValue"), "other", None, "Parameters[1].DefaultValue", "not one of EnumValues"),
        (("Parameters", 1, "Type"), "Text", None, "Parameters[1].Type", "must be one of"),
        (
            ("PipelineExperimentConfig", "TrialName"),
            {"Std:Join": {"Values": ["t", {"Get": "Steps.Prepare.ProcessingJobName"}]}},
            None,
            "PipelineExperimentConfig.TrialName.Std:Join.Values[1]",
            "made of parameters",
        ),
        (("PipelineExperimentConfig", "TrialName"), 5, None, "PipelineExperimentConfig.TrialName", "must be a string"),
        ((*PREPARE, "Name"), "a b", None, "Steps[0].Name", "regular expression"),
        ((*AFTER, "Name"), "Tell", None, "Steps[2].Name", "Duplicate step name 'Tell'"),
        ((*PREPARE, "Type"), "EMR", "Prepare", "Steps[0].Type", "not supported by Clary"),
        ((*PREPARE, "Type"), "Cook", "Prepare", "Steps[0].Type", "must be one of"),
        ((*PREPARE, "Retries"), [], "Prepare", "Steps[0]", "Unknown Processing step member 'Retries'"),
        ((*ARGUMENTS, "Image"), "x", "Prepare", "Steps[0].Arguments", "Unknown Argument member 'Image'"),
        ((*ARGUMENTS, "RoleArn"), None, "Prepare", "Steps[0].Arguments", "Missing required Argument member 'RoleArn'"),
        ((*ARGUMENTS, "RoleArn"), "me", "Prepare", "Steps[0].Arguments.RoleArn", "greater than or equal to 20"),
        ((*CLUSTER, "VolumeSizeInGB"), "30", "Prepare", ".ClusterConfig.VolumeSizeInGB", "Expecting an integer"),
        ((*CLUSTER, "InstanceType"), "ml.x", "Prepare", ".ClusterConfig.InstanceType", "enum value set"),
        (
            (*ARGUMENTS, "AppSpecification", "ContainerEntrypoint"),
            {"Get": "Parameters.Bucket"},
            "Prepare",
            "AppSpecification.ContainerEntrypoint",
            "Expecting start of Json Array",
        ),
        ((*CLUSTER, "InstanceCount"), {"Get": "Parameters.X"}, "Prepare", "InstanceCount", "Unknown parameter 'X'"),
        ((*CLUSTER, "InstanceCount"), {"Get": "Count"}, "Prepare", "InstanceCount.Get", "refers to nothing"),
        ((*CLUSTER, "InstanceCount"), {"Std:Add": []}, "Prepare", "InstanceCount", "Unknown function 'Std:Add'"),
        ((*PREPARE, "CacheConfig", "ExpireAfter"), "soon", "Prepare", "CacheConfig.ExpireAfter", "ISO 8601"),
        (
            (*PREPARE, "PropertyFiles", 0, "OutputName"),
            "test",
            "Prepare",
            "PropertyFiles[0].OutputName",
            "no output 'test'",
        ),
        ((*FIRST, "Type"), "Like", "Check", "Steps[1].Arguments.Conditions[0].Type", "must be one of"),
        ((*FIRST, "RightValue"), None, "Check", "Conditions[0]", "Missing required member 'RightValue'"),
        ((*FIRST, "RightValue"), [1], "Check", "Conditions[0].RightValue", "must be a string, a number"),
        ((*FIRST, "LeftValue"), report("a[*]"), "Check", "LeftValue.Std:JsonGet.Path", "not a path to one value"),
        (
            (*FIRST, "LeftValue"),
            {"Std:JsonGet": {"PropertyFile": {"Get": "Steps.Prepare.PropertyFiles.No"}, "Path": "a"}},
            "Check",
            "LeftValue",
            "declares no property file 'No'",
        ),
        (
            (*AFTER, "Arguments", "id"),
            {"Get": "Steps.Tell.OutputParameters['no']"},
            "After",
            "Steps[2].Arguments.id",
            "has the outputs id",
        ),
        (
            (*AFTER, "Arguments", "id"),
            {"Get": "Steps.Prepare.ModelArtifacts.S3ModelArtifacts"},
            "After",
            "Steps[2].Arguments.id",
            "a Processing step has no 'ModelArtifacts'",
        ),
        ((*AFTER, "Arguments", "id"), {"Get": "Steps.Nobody.Status"}, "After", ".id", "Unknown step 'Nobody'"),
        ((*AFTER, "Arguments", "id"), {"Get": "Steps.After.Status"}, "After", ".id", "refers to itself"),
        ((*AFTER, "Arguments", "id"), {"Get": "ForEach.CurrentItem"}, "After", ".id", "body of a ForEach step alone"),
        ((*AFTER, "DependsOn"), ["Nobody"], "After", "Steps[2].DependsOn", "Unknown step 'Nobody'"),
        ((*AFTER, "DependsOn"), [{"Step": "Tell", "Trigger": "Later"}], "After", "Trigger", "must be one of"),
        ((*PREPARE, "DependsOn"), ["After"], "Prepare", "Steps[0]", "Prepare -> After -> Check"),
        (
            (*PREPARE, "RetryPolicies"),
            [{"ExceptionType": ["Step.THROTTLING"], "MaxAttempts": 21}],
            "Prepare",
            "RetryPolicies[0].MaxAttempts",
            "between 1 and 20",
        ),
        (
            (*PREPARE, "RetryPolicies"),
            [{"ExceptionType": ["Any"]}],
            "Prepare",
            "RetryPolicies[0].ExceptionType",
            "one of",
        ),
        (
            (*CHECK, "Arguments", "ElseSteps", 0, "DependsOn"),
            ["Tell"],
            "Stop",
            "Steps[1].Arguments.ElseSteps[0]",
            "other branch of 'Check'",
        ),
    ],
)
def test_what_is_wrong_is_refused_where_it_is(path, value, step, place, says):
    with pytest.raises(DefinitionError) as refused:
        parse(changed(path, value))
    assert says in refused.value.problem
    assert refused.value.step == step
    assert refused.value.path.endswith(place)
    assert place == "" or place in str(refused.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"Steps": NaN}', "[" * 5000 + "]" * 5000, '{"Steps": []}'])
def test_what_is_not_a_definition_is_refused(text):
    with pytest.raises(DefinitionError, match="Unable to parse pipeline definition"):
        parse(text)
