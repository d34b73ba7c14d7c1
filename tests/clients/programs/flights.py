"""What one does with the pipeline over flights, whichever SDK it was written with: run it, and ask what it deployed."""

import csv
import uuid
from pathlib import Path
from typing import Any

from executions import finish, hits


def run_again_and_again(client: Any, pipeline: Any, role: str) -> dict[str, dict]:
    """A first run, the same again, and one with other parameters whose model is not good enough."""

    def versions() -> int:
        return len(client.list_model_packages(ModelPackageGroupName=pipeline.name)["ModelPackageSummaryList"])

    result = {}
    pipeline.upsert(role_arn=role)
    status, steps = finish(client, pipeline.start().arn)
    result["first"] = {"status": status, "steps": sorted(steps), "hits": hits(steps), "versions": versions()}

    pipeline.upsert(role_arn=role)  # the same again
    status, steps = finish(client, pipeline.start().arn)
    result["unchanged"] = {"status": status, "hits": hits(steps)}

    before = versions()
    status, steps = finish(client, pipeline.start(parameters={"MaxDepth": 5, "MseThreshold": 0.5}).arn)
    result["bad model"] = {
        "status": status,
        "hits": hits(steps),
        "outcome": steps["GoodEnough"]["Metadata"]["Condition"]["Outcome"],
        "reason": steps["TooFarOff"]["FailureReason"],
        "registered": versions() - before,
    }
    return result


def retry_on_new_data(client: Any, session: Any, pipeline: Any, data: Path, judge: Path) -> dict:
    """New data, judged by what is not there yet; once it is, what failed runs again, and nothing else."""
    new = {
        "InputData": session.upload_data(str(data), key_prefix=f"{pipeline.name}/b"),
        "Judges": f"s3://{session.default_bucket()}/{pipeline.name}/others",
    }
    execution = pipeline.start(parameters=new)
    failed, steps = finish(client, execution.arn)
    session.upload_data(str(judge), key_prefix=f"{pipeline.name}/others")
    client.retry_pipeline_execution(PipelineExecutionArn=execution.arn, ClientRequestToken=uuid.uuid4().hex)
    status, again = finish(client, execution.arn)
    return {
        "first": failed,
        "failed": [step for step in steps if steps[step]["StepStatus"] == "Failed"],
        "hits": hits(steps),
        "status": status,
        "run again": sorted(step for step in steps if again[step]["StartTime"] != steps[step]["StartTime"]),
    }


def error_of(runtime: Any, endpoint: str, data: Path) -> float:
    """By how many minutes an endpoint is off, on average, for the first hundred flights of a file."""
    with data.open(newline="") as file:
        rows = list(csv.reader(file))[:100]
    body = "\n".join(",".join(row[1:]) for row in rows)
    answer = runtime.invoke_endpoint(EndpointName=endpoint, ContentType="text/csv", Body=body)["Body"].read()
    predicted = [float(value) for value in answer.decode().replace("\n", ",").strip(",").split(",")]
    return sum(abs(p - float(row[0])) for p, row in zip(predicted, rows, strict=True)) / len(rows)
