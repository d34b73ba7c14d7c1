"""What the pipeline programs of both SDKs do with executions, through plain boto3."""

import json
import threading
from typing import Any

_PAUSE_SECONDS = 0.5


def finish(client: Any, arn: str) -> tuple[str, dict]:
    """Wait for an execution, a good one or one that is meant to fail; its status, and its steps by name."""
    while (status := client.describe_pipeline_execution(PipelineExecutionArn=arn)["PipelineExecutionStatus"]) in (
        "Executing",
        "Stopping",
    ):
        threading.Event().wait(_PAUSE_SECONDS)
    found = client.list_pipeline_execution_steps(PipelineExecutionArn=arn, MaxResults=100)["PipelineExecutionSteps"]
    for step in found:
        cached = "cached" if "CacheHitResult" in step else ""
        print(step["StepName"], step["StepStatus"], cached, step.get("FailureReason", ""), flush=True)
    return status, {step["StepName"]: step for step in found}


def hits(steps: dict) -> list[str]:
    """The steps whose results came out of the cache."""
    return sorted(step for step in steps if "CacheHitResult" in steps[step])


def start_on_approval(events: Any, group: str, pipeline_arn: str, role: str) -> None:
    """A rule that starts a pipeline for each version of a model package group that is approved."""
    pattern = {
        "source": ["aws.sagemaker"],
        "detail-type": ["SageMaker Model Package State Change"],
        "detail": {"ModelPackageGroupName": [group], "ModelApprovalStatus": ["Approved"]},
    }
    events.put_rule(Name=group, EventPattern=json.dumps(pattern))
    given = {"PipelineParameterList": [{"Name": "ModelPackageArn", "Value": "$.detail.ModelPackageArn"}]}
    target = {"Id": "1", "Arn": pipeline_arn, "RoleArn": role, "SageMakerPipelineParameters": given}
    events.put_targets(Rule=group, Targets=[target])


def approve_latest(client: Any, group: str, pipeline: str) -> tuple[str, dict]:
    """Approve the newest version of a group; wait for the execution of `pipeline` that this starts."""
    [latest, *_] = client.list_model_packages(ModelPackageGroupName=group, SortOrder="Descending")[
        "ModelPackageSummaryList"
    ]
    client.update_model_package(ModelPackageArn=latest["ModelPackageArn"], ModelApprovalStatus="Approved")
    while not (found := client.list_pipeline_executions(PipelineName=pipeline)["PipelineExecutionSummaries"]):
        threading.Event().wait(_PAUSE_SECONDS)
    return finish(client, found[0]["PipelineExecutionArn"])
