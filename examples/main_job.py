"""The main job, end to end, with plain boto3; the same program runs against AWS.

    eval "$(clary env)" && python examples/main_job.py

How long will a flight be in the air? It uploads a public data set, trains SageMaker's built-in XGBoost on it, follows
the job's log, deploys the model to a real-time endpoint, and scores flights it has not seen beside a baseline.
"""

import csv
import os
import random
import sys
import time
from pathlib import Path
from statistics import linear_regression

import boto3

DATA = Path(__file__).parent / "data" / "flights.csv"
ROUNDS = 100

region = boto3.session.Session().region_name or "us-east-1"
account = boto3.client("sts").get_caller_identity()["Account"]
role = os.environ.get("ROLE_ARN", f"arn:aws:iam::{account}:role/clary-execution-role")
image = f"683313688378.dkr.ecr.{region}.amazonaws.com/sagemaker-xgboost:1.7-1"
bucket = f"main-job-{account}-{region}"
name = f"flights-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}"

s3 = boto3.client("s3")
sagemaker = boto3.client("sagemaker")
logs = boto3.client("logs")
runtime = boto3.client("sagemaker-runtime")


def load() -> tuple[list[list[float]], list[list[float]]]:
    """Read the flights as numbers, label first as XGBoost wants it; return training and held-out rows."""
    with DATA.open(newline="") as file:
        flights = list(csv.DictReader(file))
    codes: dict[tuple[str, str], int] = {}
    rows = []
    for flight in flights:
        numbers = [float(flight[column]) for column in list(flight)[:5]]
        numbers += [codes.setdefault((column, flight[column]), len(codes)) for column in list(flight)[5:]]
        rows.append(numbers)
    random.Random(7).shuffle(rows)
    held_out = len(rows) // 5
    return rows[held_out:], rows[:held_out]


def as_csv(rows: list[list[float]]) -> str:
    return "\n".join(",".join(f"{value:g}" for value in row) for row in rows)


def upload(train: list[list[float]], validation: list[list[float]]) -> None:
    if bucket not in [found["Name"] for found in s3.list_buckets()["Buckets"]]:
        s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key=f"{name}/train/flights.csv", Body=as_csv(train).encode())
    s3.put_object(Bucket=bucket, Key=f"{name}/validation/flights.csv", Body=as_csv(validation).encode())


def channel(which: str) -> dict:
    source = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{bucket}/{name}/{which}/"}
    return {"ChannelName": which, "ContentType": "text/csv", "DataSource": {"S3DataSource": source}}


def train() -> str:
    """Run the training job, print its log while it runs, and return the URI of the model artifact."""
    sagemaker.create_training_job(
        TrainingJobName=name,
        RoleArn=role,
        AlgorithmSpecification={"TrainingImage": image, "TrainingInputMode": "File"},
        HyperParameters={
            "objective": "reg:squarederror",
            "num_round": str(ROUNDS),
            "max_depth": "4",
            "eta": "0.1",
        },
        InputDataConfig=[channel("train"), channel("validation")],
        OutputDataConfig={"S3OutputPath": f"s3://{bucket}/{name}/output"},
        ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 5},
        StoppingCondition={"MaxRuntimeInSeconds": 600},
    )
    token = None
    while True:
        job = sagemaker.describe_training_job(TrainingJobName=name)
        token = print_new_log_lines(token)
        if job["TrainingJobStatus"] in ("Completed", "Failed", "Stopped"):
            break
        time.sleep(0.2)
    print_new_log_lines(token)
    if job["TrainingJobStatus"] != "Completed":
        raise SystemExit(f"the training job ended as {job['TrainingJobStatus']}: {job.get('FailureReason')}")
    return job["ModelArtifacts"]["S3ModelArtifacts"]


def print_new_log_lines(token: str | None) -> str | None:
    """Print what the job logged since `token`: rounds as one progress line, the rest as it is."""
    group = "/aws/sagemaker/TrainingJobs"
    try:
        streams = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=f"{name}/")["logStreams"]
    except logs.exceptions.ResourceNotFoundException:
        return token
    if not streams:
        return token
    request = {"logGroupName": group, "logStreamName": streams[0]["logStreamName"], "startFromHead": True}
    page = logs.get_log_events(**request, **({"nextToken": token} if token else {}))
    for event in page["events"]:
        line = event["message"].rstrip()
        if "train-rmse:" in line:
            print_progress(int(line[1 : line.index("]")]) + 1, line.split()[1:])
        else:
            print(f"  {line}")
    return page["nextForwardToken"]


def print_progress(done: int, metrics: list[str]) -> None:
    """One line that grows on a terminal; elsewhere a line every 20 rounds."""
    bar = "#" * (30 * done // ROUNDS)
    line = f"  [{bar:<30}] round {done}/{ROUNDS}  {' '.join(metrics)}"
    if sys.stdout.isatty():
        print(f"\r{line} ", end="" if done < ROUNDS else "\n", flush=True)
    elif done % 20 == 0:
        print(line, flush=True)


def deploy(artifact: str) -> None:
    sagemaker.create_model(
        ModelName=name, ExecutionRoleArn=role, PrimaryContainer={"Image": image, "ModelDataUrl": artifact}
    )
    variant = {"VariantName": "all", "ModelName": name, "InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    sagemaker.get_waiter("endpoint_in_service").wait(EndpointName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 120})


def score(rows: list[list[float]]) -> list[float]:
    """Ask the endpoint for the minutes of each flight, 500 flights a request."""
    answers: list[float] = []
    for start in range(0, len(rows), 500):
        body = as_csv([row[1:] for row in rows[start : start + 500]])
        answer = runtime.invoke_endpoint(EndpointName=name, ContentType="text/csv", Accept="text/csv", Body=body)
        answers += [float(value) for value in answer["Body"].read().decode().replace("\n", ",").split(",") if value]
    return answers


def rmse(answers: list[float], rows: list[list[float]]) -> float:
    """Root mean squared error, in minutes."""
    return (sum((answer - row[0]) ** 2 for answer, row in zip(answers, rows, strict=True)) / len(rows)) ** 0.5


def straight_line(known: list[list[float]], rows: list[list[float]]) -> list[float]:
    """The baseline: minutes as a linear function of the distance, fitted to the known flights."""
    slope, intercept = linear_regression([row[4] for row in known], [row[0] for row in known])
    return [slope * row[4] + intercept for row in rows]


def main() -> None:
    started = time.monotonic()
    known, unseen = load()
    split = len(known) * 9 // 10

    print(f"1. Uploading {len(known):,} flights to s3://{bucket}/{name}/")
    upload(known[:split], known[split:])

    print(f"2. Training the built-in XGBoost as training job {name}")
    artifact = train()

    print(f"3. Deploying {artifact}")
    deploy(artifact)

    print(f"4. Asking the endpoint about {len(unseen):,} flights it has not seen")
    answers = score(unseen)

    print(f"\n   the endpoint's error                         {rmse(answers, unseen):5.1f} minutes (RMSE)")
    print(f"   baseline: a straight line over the distance  {rmse(straight_line(known, unseen), unseen):5.1f} minutes")
    print(f"\nDone in {time.monotonic() - started:.1f} s. Endpoint {name} stays in service; delete it with")
    print(f"  aws sagemaker delete-endpoint --endpoint-name {name}")


if __name__ == "__main__":
    main()
