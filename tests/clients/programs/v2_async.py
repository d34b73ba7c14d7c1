"""SageMaker SDK v2: an asynchronous endpoint: `AsyncInferenceConfig` and `AsyncPredictor`, with notifications."""

import csv
import json
import sys
import uuid
from pathlib import Path

import boto3
import sagemaker
from sagemaker.async_inference import AsyncInferenceConfig, WaiterConfig
from sagemaker.estimator import Estimator
from sagemaker.exceptions import AsyncInferenceModelError, ObjectNotExistedError
from sagemaker.inputs import TrainingInput
from sagemaker.serializers import CSVSerializer

folder = Path(sys.argv[1])
session = sagemaker.Session()
train = session.upload_data(str(folder / "train.csv"), key_prefix="v2-async/train")
estimator = Estimator(
    sagemaker.image_uris.retrieve("xgboost", session.boto_region_name, version="1.7-1"),
    sagemaker.get_execution_role(),
    instance_count=1,
    instance_type="ml.m5.large",
    base_job_name="v2-async",
    hyperparameters={"objective": "reg:squarederror", "num_round": 50, "max_depth": 4, "eta": 0.2},
)
estimator.fit({"train": TrainingInput(train, content_type="text/csv")}, logs=False)

sns, sqs = boto3.client("sns"), boto3.client("sqs")
name = f"v2-async-{uuid.uuid4().hex[:8]}"
topic = sns.create_topic(Name=name)["TopicArn"]
queue = sqs.create_queue(QueueName=name)["QueueUrl"]
queue_arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue_arn)
predictor = estimator.deploy(
    1,
    "ml.m5.large",
    serializer=CSVSerializer(),
    async_inference_config=AsyncInferenceConfig(
        max_concurrent_invocations_per_instance=2, notification_config={"SuccessTopic": topic, "ErrorTopic": topic}
    ),
    wait=False,
)
session.wait_for_endpoint(predictor.endpoint_name, poll=1)  # deploy itself looks every 30 s

with (folder / "test.csv").open(newline="") as file:
    rows = [[float(value) for value in row] for row in csv.reader(file)][:500]
# The SDK looks for the output and for the failure, and the program ends when both searches have.
waiter = WaiterConfig(max_attempts=40, delay=1)
csv_rows = {"ContentType": "text/csv"}
later = [predictor.predict_async([row[1:] for row in part], initial_args=csv_rows) for part in (rows[:250], rows[250:])]
try:
    later[0].get_result()
    waited = False
except ObjectNotExistedError:
    waited = True  # as it may be
answers = [one.get_result(waiter).decode() for one in later]
predicted = [float(value) for text in answers for value in text.replace("\n", ",").strip(",").split(",")]
try:
    predictor.predict("this is no table", initial_args=csv_rows, waiter_config=waiter)
    failure = ""
except AsyncInferenceModelError as error:
    failure = str(error)

told = []
while len(told) < 3:
    for message in sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=20, MaxNumberOfMessages=10).get("Messages", []):
        told.append(json.loads(json.loads(message["Body"])["Message"]))
        sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
predictor.delete_model()
predictor.delete_endpoint()

labels = [row[0] for row in rows]
mean = sum(labels) / len(labels)
print(
    json.dumps(
        {
            "rows": len(predicted),
            "error": sum(abs(p - y) for p, y in zip(predicted, labels, strict=True)) / len(labels),
            "baseline": sum(abs(mean - y) for y in labels) / len(labels),
            "failure": failure,
            "waited": waited,
            "told": sorted(message["invocationStatus"] for message in told),
            "outputs": sorted(m["responseParameters"]["outputLocation"] for m in told if "failureReason" not in m),
            "expected": sorted(one.output_path for one in later),
        }
    )
)
