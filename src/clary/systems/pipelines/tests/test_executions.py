"""Executions, from their start to their end."""

from typing import Any

import pytest

from clary.kernel.core.errors import AwsError
from clary.systems.pipelines.tests.conftest import (
    World,
    condition,
    fail,
    get,
    model,
    parameter,
    token,
    train,
)


def test_steps_run_in_their_order_and_take_values_from_each_other(world: World) -> None:
    rounds = parameter("Rounds", "Integer", 3)
    tag = {"Std:Join": {"On": "-", "Values": [get("Execution.PipelineName"), get("Execution.PipelineExecutionId")]}}
    first = train("First", arguments={"HyperParameters": {"rounds": get("Parameters.Rounds"), "tag": tag}})
    artifacts = get("Steps.First.ModelArtifacts.S3ModelArtifacts")
    second = model("Second")
    second["Arguments"]["PrimaryContainer"]["ModelDataUrl"] = artifacts
    world.create("values", second, first, parameters=[rounds])
    arn = world.run(
        "values", PipelineParameters=[{"Name": "Rounds", "Value": "7"}], PipelineExecutionDescription="sevenfold"
    )
    assert world.status(arn) == "Succeeded"
    steps = world.steps(arn)
    assert list(steps) == ["First", "Second"]
    assert [step["StepStatus"] for step in steps.values()] == ["Succeeded", "Succeeded"]
    assert [step["AttemptCount"] for step in steps.values()] == [1, 1]
    job = steps["First"]["Metadata"]["TrainingJob"]["Arn"].rpartition("/")[2]
    execution = arn.rpartition("/")[2]
    assert job.startswith(f"pipelines-{execution}-First-")
    found = world.call("DescribeTrainingJob", TrainingJobName=job)
    assert found["HyperParameters"] == {"rounds": "7", "tag": f"values-{execution}"}
    made = steps["Second"]["Metadata"]["Model"]["Arn"].rpartition("/")[2]
    described = world.call("DescribeModel", ModelName=made)
    assert described["PrimaryContainer"]["ModelDataUrl"] == found["ModelArtifacts"]["S3ModelArtifacts"]
    [parameters] = world.call("ListPipelineParametersForExecution", PipelineExecutionArn=arn)["PipelineParameters"]
    assert parameters == {"Name": "Rounds", "Value": "7"}
    [listed] = world.call("ListPipelineExecutions", PipelineName="values")["PipelineExecutionSummaries"]
    assert (listed["PipelineExecutionArn"], listed["PipelineExecutionDescription"]) == (arn, "sevenfold")
    kept = world.call("DescribePipelineDefinitionForExecution", PipelineExecutionArn=arn)["PipelineDefinition"]
    assert "First" in kept
    results = world.call("Search", Resource="PipelineExecution")["Results"]
    assert [each["PipelineExecution"]["PipelineExecutionArn"] for each in results] == [arn]


def test_an_execution_is_started_once_for_each_token(world: World) -> None:
    world.create("once", model("Only"))
    arn = world.start("once")
    assert world.start("once") == arn
    with pytest.raises(AwsError, match="started in another way") as refused:
        world.start("once", PipelineExecutionDescription="another")
    assert refused.value.code == "ConflictException"
    assert world.start("once", 2) != arn
    for wrong, said in (
        ({"PipelineParameters": [{"Name": "X", "Value": "1"}]}, "Unknown parameter 'X'"),
        ({"PipelineVersionId": 4}, "has no version 4"),
        ({"RoleArn": "arn:aws:iam::000000000000:role/other"}, "RoleArn can't be specified"),
    ):
        with pytest.raises(AwsError, match=said):
            world.start("once", 3, **wrong)


def test_a_condition_takes_a_branch_and_a_fail_step_ends_the_execution(world: World) -> None:
    limit, score = parameter("Limit", "Float", 0.5), parameter("Score", "Float")
    gate = condition(
        "Gate", get("Parameters.Score"), get("Parameters.Limit"), then=[model("Good")],
        otherwise=[fail("Bad", {"Std:Join": {"On": " ", "Values": ["only", get("Parameters.Score")]}})],
    )  # fmt: skip
    world.create("gate", gate, parameters=[limit, score])
    good = world.run("gate", PipelineParameters=[{"Name": "Score", "Value": "0.7"}])
    assert world.status(good) == "Succeeded"
    assert world.statuses(good) == {"Gate": "Succeeded", "Good": "Succeeded"}
    assert world.steps(good)["Gate"]["Metadata"] == {"Condition": {"Outcome": "True"}}
    bad = world.run("gate", 2, PipelineParameters=[{"Name": "Score", "Value": "0.2"}])
    described = world.call("DescribePipelineExecution", PipelineExecutionArn=bad)
    assert described["PipelineExecutionStatus"] == "Failed"
    assert described["FailureReason"] == "Step failure: One or multiple steps failed."
    step = world.steps(bad)["Bad"]
    assert (step["StepStatus"], step["FailureReason"]) == ("Failed", "only 0.2")
    assert step["Metadata"] == {"Fail": {"ErrorMessage": "only 0.2"}}


def test_no_more_steps_run_at_once_than_the_execution_allows(world: World) -> None:
    world.executor.ends_at_once = False
    steps = [train(f"T{number}") for number in range(5)]
    world.create("wide", *steps, ParallelismConfiguration={"MaxParallelExecutionSteps": 2})
    arn = world.run("wide")
    assert list(world.statuses(arn)) == ["T0", "T1"]
    most = {"MaxParallelExecutionSteps": 3}
    world.call("UpdatePipelineExecution", PipelineExecutionArn=arn, ParallelismConfiguration=most)
    world.settle()
    assert list(world.statuses(arn)) == ["T0", "T1", "T2"]
    for number in range(5):
        end(world, f"-T{number}-")
    assert world.status(arn) == "Succeeded"
    assert len(world.executor.started) == 5


def test_a_failure_ends_the_execution_and_a_retry_runs_only_what_failed(world: World) -> None:
    broken = [True]
    world.executor.fails = lambda spec: "no such column" if "-Second-" in spec.job and broken[0] else ""
    world.create("retry", train("First"), train("Second", "First"), train("Third", "Second"))
    arn = world.run("retry")
    assert world.status(arn) == "Failed"
    assert world.statuses(arn) == {"First": "Succeeded", "Second": "Failed"}
    assert world.steps(arn)["Second"]["FailureReason"].startswith("ClientError: AlgorithmError: ")
    broken[0] = False
    world.call("RetryPipelineExecution", PipelineExecutionArn=arn, ClientRequestToken=token("again"))
    world.settle()
    assert world.status(arn) == "Succeeded"
    assert world.statuses(arn) == {"First": "Succeeded", "Second": "Succeeded", "Third": "Succeeded"}
    assert [name.split("-")[3] for name in world.executor.started] == ["First", "Second", "Second", "Third"]
    assert len(set(world.executor.started)) == 4
    with pytest.raises(AwsError, match="is Succeeded: only one that has Failed"):
        world.call("RetryPipelineExecution", PipelineExecutionArn=arn, ClientRequestToken=token("once more"))


def test_a_trigger_handles_a_failure(world: World) -> None:
    world.executor.fails = lambda _: "broken"
    rescue = model("Rescue", DependsOn=[{"Step": "Risky", "Trigger": "Failed"}])
    world.create("rescue", train("Risky"), rescue)
    arn = world.run("rescue")
    assert world.statuses(arn) == {"Risky": "Failed", "Rescue": "Succeeded"}
    assert world.status(arn) == "CompletedWithFailures"


def test_a_stop_stops_the_jobs_and_starts_nothing(world: World) -> None:
    world.executor.ends_at_once = False
    world.create("stop", train("First"), train("Second", "First"))
    arn = world.run("stop")
    world.call("StopPipelineExecution", PipelineExecutionArn=arn, ClientRequestToken=token("stop"))
    assert world.status(arn) == "Stopping"
    with pytest.raises(AwsError, match="has running executions"):
        world.call("DeletePipeline", PipelineName="stop", ClientRequestToken=token("delete"))
    world.settle()
    world.wake("training")
    world.settle()
    assert world.status(arn) == "Stopped"
    assert world.statuses(arn) == {"First": "Stopped"}
    world.call("StopPipelineExecution", PipelineExecutionArn=arn, ClientRequestToken=token("stop"))
    with pytest.raises(AwsError, match="is Stopped: only one that is Executing"):
        world.call("StopPipelineExecution", PipelineExecutionArn=arn, ClientRequestToken=token("stop again"))
    world.executor.ends_at_once = True
    world.call("RetryPipelineExecution", PipelineExecutionArn=arn, ClientRequestToken=token("go on"))
    world.settle()
    assert world.status(arn) == "Succeeded"
    world.call("DeletePipeline", PipelineName="stop", ClientRequestToken=token("delete"))
    with pytest.raises(AwsError, match="does not exist"):
        world.status(arn)


def test_what_faults_of_the_platform_break_is_tried_again_as_the_policy_says(world: World) -> None:
    """A lost host is started again by training itself; a job that cannot be made is the pipeline's to retry."""
    policy = {"ExceptionType": ["SageMaker.RESOURCE_LIMIT"], "IntervalSeconds": 10, "BackoffRate": 2, "MaxAttempts": 2}
    world.create("limits", train("Scarce", RetryPolicies=[policy]))
    refusals = [3]
    create = world.platform.registry.handlers["sagemaker", "CreateTrainingJob"]

    def scarce(ctx: Any, **request: Any) -> Any:
        if refusals[0]:
            refusals[0] -= 1
            raise AwsError("ResourceLimitExceeded", "The account has no instances left.")
        return create.function(ctx, **request)

    world.platform.registry.handlers["sagemaker", "CreateTrainingJob"] = type(create)(
        scarce, create.claim, create.room, False, None
    )
    arn = world.run("limits")
    assert world.statuses(arn) == {"Scarce": "Starting"}
    world.pass_time(9)
    assert refusals == [2]
    world.pass_time(1)
    assert (refusals, world.steps(arn)["Scarce"]["AttemptCount"]) == ([1], 3)
    world.pass_time(20)
    step = world.steps(arn)["Scarce"]
    assert (world.status(arn), step["StepStatus"], refusals) == ("Failed", "Failed", [0])
    assert "Failed to invoke sagemaker:CreateTrainingJob. Error Details: The account has" in step["FailureReason"]
    again = world.run("limits", 2)
    assert world.status(again) == "Succeeded"


def test_a_selective_execution_takes_the_rest_from_another(world: World) -> None:
    second = model("Second")
    second["Arguments"]["PrimaryContainer"]["ModelDataUrl"] = get("Steps.First.ModelArtifacts.S3ModelArtifacts")
    world.create("select", train("First"), second, model("Third", "Second"))
    whole = world.run("select")
    with pytest.raises(AwsError, match="give a SourcePipelineExecutionArn"):
        world.start("select", 2, SelectiveExecutionConfig={"SelectedSteps": [{"StepName": "Second"}]})
    chosen = {"SelectedSteps": [{"StepName": "Second"}], "SourcePipelineExecutionArn": whole}
    arn = world.run("select", 2, SelectiveExecutionConfig=chosen)
    assert world.status(arn) == "Succeeded"
    steps = world.steps(arn)
    assert set(steps) == {"First", "Second"}
    assert steps["First"]["SelectiveExecutionResult"] == {"SourcePipelineExecutionArn": whole}
    assert len(world.executor.started) == 1, "the job of the other execution stands for this one's"


def end(world: World, name: str) -> None:
    world.executor.end(name)
    world.wake("training")
    world.settle()
