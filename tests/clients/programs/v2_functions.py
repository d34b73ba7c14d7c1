"""SageMaker SDK v2: functions as jobs (`@remote`), as steps of a pipeline (`@step`), and a notebook as a step."""

import json
import os
import sys
import tarfile
import uuid
from pathlib import Path

import sagemaker
from executions import finish
from sagemaker.remote_function import remote
from sagemaker.s3 import S3Downloader
from sagemaker.workflow.function_step import step
from sagemaker.workflow.notebook_job_step import NotebookJobStep
from sagemaker.workflow.parameters import ParameterInteger
from sagemaker.workflow.pipeline import Pipeline

scratch = Path(sys.argv[1])
os.chdir(scratch)
session = sagemaker.Session()
role = sagemaker.get_execution_role()
name = f"v2-functions-{uuid.uuid4().hex[:8]}"
image = f"885854791233.dkr.ecr.{session.boto_region_name}.amazonaws.com/sagemaker-distribution-prod:3-cpu"
where = {"image_uri": image, "instance_type": "ml.m5.large", "role": role}


class TooSmall(Exception):
    pass


@remote(pre_execution_commands=["echo prepared > /tmp/prepared"], environment_variables={"UNIT": "minutes"}, **where)
def total(values: list[float]) -> str:
    if not values:
        raise TooSmall("nothing to add up")
    return f"{Path('/tmp/prepared').read_text().strip()}: {sum(values)} {os.environ['UNIT']}"


@step(name="Draw", **where)
def draw(count: int) -> list[int]:
    return list(range(count))


@step(name="Sum", **where)
def add_up(values: list[int], offset: int) -> int:
    return sum(values) + offset


notebook = scratch / "greet.ipynb"
cells = ["name = 'nobody'", "print('hello', name)"]
notebook.write_text(
    json.dumps(
        {
            "cells": [
                {
                    "cell_type": "code",
                    "id": f"c{number}",
                    "execution_count": None,
                    "metadata": {"tags": ["parameters"]} if number == 0 else {},
                    "outputs": [],
                    "source": source,
                }
                for number, source in enumerate(cells)
            ],
            "metadata": {},
            "nbformat": 4,
            "nbformat_minor": 5,
        }
    )
)
greet = NotebookJobStep(
    name="Greet",
    input_notebook=str(notebook),
    image_uri=image,
    kernel_name="python3",
    role=role,
    parameters={"name": "Ada"},
)
count = ParameterInteger("Count", default_value=4)
pipeline = Pipeline(name, parameters=[count], steps=[add_up(draw(count), 100), greet], sagemaker_session=session)
pipeline.upsert(role_arn=role)
execution = pipeline.start(parameters={"Count": 5})

result = {"remote": total([1.0, 2.5])}
try:
    total([])
except TooSmall as error:
    result["raised"] = str(error)

status, steps = finish(session.sagemaker_client, execution.arn)
arn = steps["Greet"]["Metadata"]["TrainingJob"]["Arn"]
job = session.sagemaker_client.describe_training_job(TrainingJobName=arn.rpartition("/")[2])
output = f"{job['OutputDataConfig']['S3OutputPath']}/{job['TrainingJobName']}/output/output.tar.gz"
S3Downloader.download(output, str(scratch / "output"))
with tarfile.open(scratch / "output" / "output.tar.gz") as archive:
    files = sorted(archive.getnames())
    ran = archive.extractfile(job["Environment"]["SM_OUTPUT_NOTEBOOK_NAME"]).read().decode()
result |= {"status": status, "sum": execution.result("Sum"), "files": files, "greeted": "hello Ada" in ran}
print(json.dumps(result))
