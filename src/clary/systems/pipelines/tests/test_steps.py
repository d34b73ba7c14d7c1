"""Steps of each type, and what references read of them."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from clary.kernel.core.errors import AwsError
from clary.kernel.rooms.tests.in_process import calling
from clary.systems.pipelines.steps.functions import calls_of
from clary.systems.pipelines.tests.conftest import (
    ACCOUNT,
    BUCKET,
    IMAGE,
    REGION,
    ROLE,
    World,
    condition,
    fail,
    get,
    model,
    parameter,
    token,
    train,
)
from clary.testing import eventually

SCIKIT = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.4-2-cpu-py3"
FUNCTION = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:judge"


def process(name: str, *outputs: str, **members: Any) -> dict[str, Any]:
    def output(each: str) -> dict[str, Any]:
        place = {"S3Uri": f"s3://{BUCKET}/{name}/{each}", "LocalPath": f"/opt/ml/processing/{each}"}
        return {"OutputName": each, "S3Output": {**place, "S3UploadMode": "EndOfJob"}}

    request = {
        "AppSpecification": {"ImageUri": IMAGE, "ContainerEntrypoint": ["true"]},
        "ProcessingResources": {
            "ClusterConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1}
        },
        "ProcessingOutputConfig": {"Outputs": [output(each) for each in outputs]},
        "RoleArn": ROLE,
    }
    return {"Name": name, "Type": "Processing", "Arguments": request, **members}


def queue(world: World, name: str) -> str:
    return str(calling(world.platform, "sqs", ACCOUNT, REGION)("CreateQueue", QueueName=name)["QueueUrl"])


def messages(world: World, url: str) -> list[dict[str, Any]]:
    """What lies in a queue; it is taken out."""
    sqs = calling(world.platform, "sqs", ACCOUNT, REGION)
    answer = sqs("ReceiveMessage", QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=0)
    return [json.loads(each["Body"]) for each in answer.get("Messages", [])]


def answering(world: World, function: Callable[[dict[str, Any]], Any]) -> None:
    """Let a function of ours stand where functions are invoked. It may return None, and then never answers."""
    handlers = world.platform.registry.handlers
    invoke = handlers["lambda", "Invoke"]

    async def call(ctx: Any, *, FunctionName: str, Payload: bytes) -> dict[str, Any]:
        assert FunctionName == FUNCTION
        try:
            returned = function(json.loads(Payload))
            if returned is None:
                await asyncio.Event().wait()
            return {"StatusCode": 200, "Payload": json.dumps(returned).encode()}
        except RuntimeError as error:
            return {"StatusCode": 200, "FunctionError": "Unhandled", "Payload": str(error).encode()}

    handlers["lambda", "Invoke"] = replace(invoke, function=call, members=frozenset({"FunctionName", "Payload"}))


def test_a_metric_in_a_property_file_decides_whether_a_model_is_registered(world: World) -> None:
    files = [{"PropertyFileName": "Report", "OutputName": "evaluation", "FilePath": "report.json"}]
    evaluate = process("Evaluate", "evaluation", PropertyFiles=files)
    score = {"Std:JsonGet": {"PropertyFile": get("Steps.Evaluate.PropertyFiles.Report"), "Path": "metrics.auc.value"}}
    container = {"Image": IMAGE, "ModelDataUrl": get("Steps.Train.ModelArtifacts.S3ModelArtifacts")}
    register = {
        "Name": "Register",
        "Type": "RegisterModel",
        "Arguments": {
            "ModelPackageGroupName": "churn",
            "ModelApprovalStatus": "PendingManualApproval",
            "InferenceSpecification": {
                "Containers": [container],
                "SupportedContentTypes": ["text/csv"],
                "SupportedResponseMIMETypes": ["text/csv"],
            },
        },
    }
    gate = condition("Gate", score, 0.8, then=[register], otherwise=[fail("TooBad")])
    world.create("judge", train("Train"), evaluate, gate)
    world.put("Evaluate/evaluation/report.json", {"metrics": {"auc": {"value": 0.9}}})
    arn = world.run("judge")
    assert world.status(arn) == "Succeeded", world.steps(arn)
    package = world.steps(arn)["Register"]["Metadata"]["RegisterModel"]["Arn"]
    found = world.call("DescribeModelPackage", ModelPackageName=package)
    assert (found["ModelPackageGroupName"], found["ModelPackageVersion"]) == ("churn", 1)
    world.put("Evaluate/evaluation/report.json", {"metrics": {"auc": {"value": 0.7}}})
    bad = world.run("judge", 2)
    assert world.statuses(bad)["TooBad"] == "Failed"
    world.put("Evaluate/evaluation/report.json", {"metrics": {}})
    lost = world.run("judge", 3)
    reason = world.steps(lost)["Gate"]["FailureReason"]
    assert reason.startswith("ClientError: Steps.Evaluate.PropertyFiles.Report"), reason
    assert len(world.call("ListModelPackages", ModelPackageGroupName="churn")["ModelPackageSummaryList"]) == 1


def test_an_unchanged_step_is_taken_from_the_last_execution_that_ran_it(world: World) -> None:
    cached = {"CacheConfig": {"Enabled": True, "ExpireAfter": "PT1H"}}
    depth = {"HyperParameters": {"depth": get("Parameters.Depth")}}
    user = model("User")
    user["Arguments"]["PrimaryContainer"]["ModelDataUrl"] = get("Steps.Cached.ModelArtifacts.S3ModelArtifacts")
    world.create(
        "cache", train("Cached", arguments=depth, **cached), user, parameters=[parameter("Depth", default="3")]
    )
    first = world.run("cache")
    second = world.run("cache", 2)
    third = world.run("cache", 3, PipelineParameters=[{"Name": "Depth", "Value": "4"}])
    hits = [world.steps(arn)["Cached"].get("CacheHitResult") for arn in (first, second, third)]
    assert hits == [None, {"SourcePipelineExecutionArn": first}, None]
    metadata = [world.steps(arn)["Cached"]["Metadata"] for arn in (first, second)]
    assert metadata[0] == metadata[1]
    assert world.status(second) == "Succeeded"
    assert len(world.executor.started) == 2
    twin = train("Twin", **cached)
    items = {"IterableItems": ["a", "b"], "MaxConcurrency": 2, "ForEachBody": [{**twin, "DependsOn": []}]}
    world.create("twins", {"Name": "Each", "Type": "ForEach", "Arguments": items})
    world.executor.ends_at_once = False
    twins = world.run("twins")
    world.executor.ends_at_once = True
    world.executor.end("-Twin-")
    world.settle()
    assert world.status(twins) == "Succeeded", "two that end together may have the same key"
    world.pass_time(3601)
    late = world.run("cache", 4)
    assert "CacheHitResult" not in world.steps(late)["Cached"], "it was too old"
    job = world.steps(late)["Cached"]["Metadata"]["TrainingJob"]["Arn"].rpartition("/")[2]
    world.call("DeleteTrainingJob", TrainingJobName=job)
    gone = world.run("cache", 5)
    assert "CacheHitResult" not in world.steps(gone)["Cached"], "what it made is gone"


def test_a_callback_waits_for_its_token(world: World) -> None:
    url = queue(world, "people")
    outputs = [{"OutputName": "verdict", "OutputType": "Boolean"}, {"OutputName": "count", "OutputType": "Integer"}]
    ask = {
        "Name": "Ask", "Type": "Callback", "Arguments": {"what": get("Execution.PipelineName")},
        "SqsQueueUrl": url, "OutputParameters": outputs,
    }  # fmt: skip
    gate = condition("Gate", get("Steps.Ask.OutputParameters['count']"), 3, then=[model("Go")])
    world.create("ask", ask, gate)
    arn = world.run("ask")
    [message] = messages(world, url)
    assert message["arguments"] == {"what": "ask"}
    assert (message["pipelineExecutionArn"], message["stepName"]) == (arn, "Ask")
    assert world.statuses(arn) == {"Ask": "Executing"}
    answers = [{"Name": "verdict", "Value": "true"}, {"Name": "count", "Value": "3"}]
    sent = {"CallbackToken": message["token"], "OutputParameters": answers, "ClientRequestToken": token("answer")}
    assert world.call("SendPipelineExecutionStepSuccess", **sent) == {"PipelineExecutionArn": arn}
    world.call("SendPipelineExecutionStepSuccess", **sent)
    with pytest.raises(AwsError, match="was answered already"):
        world.call("SendPipelineExecutionStepFailure", CallbackToken=message["token"])
    world.settle()
    assert world.status(arn) == "Succeeded"
    assert world.statuses(arn) == {"Ask": "Succeeded", "Gate": "Succeeded", "Go": "Succeeded"}
    told = world.steps(arn)["Ask"]["Metadata"]["Callback"]
    assert told == {"CallbackToken": message["token"], "SqsQueueUrl": url, "OutputParameters": answers}
    with pytest.raises(AwsError, match="No callback step waits"):
        world.call("SendPipelineExecutionStepSuccess", CallbackToken="0000000000")


def test_a_callback_is_waited_for_when_the_execution_is_stopped_and_not_for_ever(world: World) -> None:
    url = queue(world, "slow")
    world.create("slow", {"Name": "Ask", "Type": "Callback", "Arguments": {}, "SqsQueueUrl": url}, model("M", "Ask"))
    stopped, forgotten = world.run("slow"), world.run("slow", 2)
    messages(world, url)
    world.call("StopPipelineExecution", PipelineExecutionArn=stopped, ClientRequestToken=token("stop"))
    world.settle()
    [message] = messages(world, url)
    assert message["status"] == "Stopping"
    assert world.statuses(stopped) == {"Ask": "Stopping"}
    reason = "the oven broke"
    world.call("SendPipelineExecutionStepFailure", CallbackToken=message["token"], FailureReason=reason)
    world.settle()
    assert world.steps(stopped)["Ask"]["FailureReason"] == reason
    world.pass_time(7 * 86_400)
    assert world.status(forgotten) == "Failed"
    assert "nobody answered" in world.steps(forgotten)["Ask"]["FailureReason"]


def test_a_function_is_called_once_and_its_outputs_are_read(world: World) -> None:
    events: list[dict[str, Any]] = []

    def judge(event: dict[str, Any]) -> Any:
        events.append(event)
        if event["rows"] < 0:
            raise RuntimeError("too few")
        return {"statusCode": 200, "score": 0.75, "label": event["rows"]}

    answering(world, judge)
    outputs = [{"OutputName": "score", "OutputType": "Float"}, {"OutputName": "label", "OutputType": "String"}]
    call = {
        "Name": "Judge", "Type": "Lambda", "Arguments": {"rows": get("Parameters.Rows")}, "FunctionArn": FUNCTION,
        "OutputParameters": outputs,
    }  # fmt: skip
    gate = condition("Gate", get("Steps.Judge.OutputParameters['score']"), 0.7, then=[model("Good")])
    world.create("function", call, gate, parameters=[parameter("Rows", "Integer", 5)])
    arn = world.run("function")
    wait_for(world, arn)
    assert world.statuses(arn) == {"Judge": "Succeeded", "Gate": "Succeeded", "Good": "Succeeded"}
    told = world.steps(arn)["Judge"]["Metadata"]["Lambda"]
    assert told == {
        "Arn": FUNCTION,
        "OutputParameters": [{"Name": "score", "Value": "0.75"}, {"Name": "label", "Value": "5"}],
    }
    bad = world.run("function", 2, PipelineParameters=[{"Name": "Rows", "Value": "-1"}])
    wait_for(world, bad)
    assert "too few" in world.steps(bad)["Judge"]["FailureReason"]
    assert [event["rows"] for event in events] == [5, -1]


def test_a_function_that_was_being_called_when_the_platform_died_is_not_called_again(world: World) -> None:

    answering(world, lambda _: None)
    world.create("cut", {"Name": "Call", "Type": "Lambda", "Arguments": {}, "FunctionArn": FUNCTION})
    arn = world.run("cut")
    calls_of.end(world.platform)
    world.restart()
    world.settle()
    assert "It may have run" in world.steps(arn)["Call"]["FailureReason"]
    assert world.status(arn) == "Failed"


def wait_for(world: World, arn: str) -> None:
    """Settle until an execution has ended: what is called answers on another thread."""

    def has_ended() -> bool:
        world.settle()
        return world.status(arn) != "Executing"

    eventually(has_ended)


def test_a_loop_runs_its_body_for_each_item_and_picks_the_best(world: World) -> None:
    answering(world, lambda event: {"score": len(event["item"])})
    body = {
        "Name": "Try", "Type": "Lambda", "Arguments": {"item": get("ForEach.CurrentItem")}, "FunctionArn": FUNCTION,
        "OutputParameters": [{"OutputName": "score", "OutputType": "Integer"}],
    }  # fmt: skip
    named = model("Named", "Try")
    named["Arguments"]["PrimaryContainer"]["Environment"] = {"SCORE": get("Steps.Try.OutputParameters['score']")}
    loop = {
        "Name": "Each",
        "Type": "ForEach",
        "Arguments": {
            "IterableItems": get("Parameters.Items"),
            "MaxConcurrency": 2,
            "ForEachBody": [body, named],
            "Selector": {"Pick": "MaxBy", "Field": get("IterationOutput.Try.OutputParameters['score']")},
        },
    }
    best = condition("Best", get("Steps.Each.Selected.OutputParameters['score']"), 3, then=[model("Good")])
    world.create("loop", loop, best, parameters=[parameter("Items", default='["a", "ccc", "bb"]')])
    arn = world.run("loop")
    wait_for(world, arn)
    steps = world.steps(arn)
    assert world.status(arn) == "Succeeded", steps
    assert {name for name, step in steps.items() if "IterationContext" in step} == {
        "Try-0", "Try-1", "Try-2", "Named-0", "Named-1", "Named-2",
    }  # fmt: skip
    assert steps["Try-1"]["IterationContext"] == {"ParentStepName": "Each", "Index": 1, "Item": "ccc"}
    assert steps["Each"]["Metadata"]["ForEach"] == {
        "Status": "Succeeded", "InputItemCount": 3, "TotalStepCount": 6, "SucceededStepCount": 6, "FailedStepCount": 0,
        "StoppedStepCount": 0, "Selector": {"StepName": "Try", "Index": 1},
    }  # fmt: skip
    made = steps["Named-1"]["Metadata"]["Model"]["Arn"].rpartition("/")[2]
    assert world.call("DescribeModel", ModelName=made)["PrimaryContainer"]["Environment"] == {"SCORE": "3"}


def test_an_endpoint_is_created_and_then_updated(world: World) -> None:
    world.put("model.tar.gz", {})
    made = model("Model")
    made["Arguments"]["PrimaryContainer"]["Image"] = SCIKIT
    made["Arguments"]["PrimaryContainer"]["ModelDataUrl"] = f"s3://{BUCKET}/model.tar.gz"
    variant = {
        "VariantName": "All", "ModelName": get("Steps.Model.ModelName"), "InitialInstanceCount": 1,
        "InstanceType": "ml.m5.large",
    }  # fmt: skip
    config = {"Name": "Config", "Type": "EndpointConfig", "Arguments": {"ProductionVariants": [variant]}}
    endpoint = {
        "Name": "Endpoint", "Type": "Endpoint",
        "Arguments": {"EndpointName": "churn", "EndpointConfigName": get("Steps.Config.EndpointConfigName")},
    }  # fmt: skip
    world.create("deploy", made, config, endpoint)
    configs = []
    for number in (1, 2):
        arn = world.run("deploy", number)
        for _ in range(10):
            world.pass_time(60)
            world.wake("endpoints")
            world.settle()
        steps = world.steps(arn)
        assert world.status(arn) == "Succeeded", steps
        configs.append(steps["Config"]["Metadata"]["EndpointConfig"]["Arn"].rpartition("/")[2])
        found = world.call("DescribeEndpoint", EndpointName="churn")
        assert (found["EndpointStatus"], found["EndpointConfigName"]) == ("InService", configs[-1])
        assert steps["Endpoint"]["Metadata"] == {"Endpoint": {"Arn": found["EndpointArn"]}}
    assert configs[0] != configs[1]


def test_cleanup_deletes_what_steps_left_in_s3(world: World) -> None:
    uris = [f"s3://{BUCKET}/Prepare/data/a.csv", f"s3://{BUCKET}/Prepare/data/b.csv"]
    sources = [
        {"StepName": "Train"},
        {"StepName": "Prepare", "S3Uris": uris[:1]},
        {"StepName": "Other", "S3Uris": ["s3://elsewhere/x"]},
    ]
    sweep = {
        "Name": "Sweep", "Type": "Cleanup", "Arguments": {"Resources": {"S3": sources}},
        "DependsOn": ["Train", "Prepare", "Other"],
    }  # fmt: skip
    for uri in uris:
        world.put(uri.removeprefix(f"s3://{BUCKET}/"), {})
    world.create("sweep", train("Train"), process("Prepare", "data"), process("Other", "data"), sweep)
    arn = world.run("sweep")
    told = world.steps(arn)["Sweep"]["Metadata"]["Cleanup"]
    assert told["CleanedSteps"] == ["Train", "Prepare"]
    assert [each["StepName"] for each in told["FailedSteps"]] == ["Other"]
    left = [each.key for each in world.platform.objects.list(BUCKET, "")]
    assert left == ["Prepare/data/b.csv"]


def test_steps_act_as_the_role_of_the_pipeline(world: World) -> None:
    trust = {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = {"Version": "2012-10-17", "Statement": [{**trust}]}
    iam = calling(world.platform, "iam", ACCOUNT, REGION)
    iam("CreateRole", RoleName="narrow", AssumeRolePolicyDocument=json.dumps(document))
    role = f"arn:aws:iam::{ACCOUNT}:role/narrow"
    world.create("narrow", model("M"), RoleArn=role)
    arn = world.run("narrow")
    assert "is not authorized to perform: sagemaker:CreateModel" in world.steps(arn)["M"]["FailureReason"]
    iam("DeleteRole", RoleName="narrow")
    gone = world.run("narrow", 2)
    assert "Could not assume role" in world.steps(gone)["M"]["FailureReason"]
