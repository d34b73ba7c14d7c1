"""SageMaker SDK v2: deploy a model with `DataCaptureConfig`, and read what was captured with `S3Downloader`."""

import csv
import json
import sys
import threading
import time
from pathlib import Path

import sagemaker
from sagemaker.estimator import Estimator
from sagemaker.inputs import TrainingInput
from sagemaker.model_monitor import DataCaptureConfig
from sagemaker.s3 import S3Downloader
from sagemaker.serializers import CSVSerializer

folder = Path(sys.argv[1])
session = sagemaker.Session()
train = session.upload_data(str(folder / "train.csv"), key_prefix="v2-capture/train")
destination = f"s3://{session.default_bucket()}/v2-capture/{int(time.time())}"

estimator = Estimator(
    sagemaker.image_uris.retrieve("xgboost", session.boto_region_name, version="1.7-1"),
    sagemaker.get_execution_role(),
    instance_count=1,
    instance_type="ml.m5.large",
    base_job_name="v2-capture",
    hyperparameters={"objective": "reg:squarederror", "num_round": 5},
)
estimator.fit({"train": TrainingInput(train, content_type="text/csv")}, logs=False)

predictor = estimator.deploy(
    1,
    "ml.m5.large",
    serializer=CSVSerializer(),
    data_capture_config=DataCaptureConfig(enable_capture=True, sampling_percentage=100, destination_s3_uri=destination),
    wait=False,
)
session.wait_for_endpoint(predictor.endpoint_name, poll=1)  # deploy itself looks every 30 s
with (folder / "test.csv").open(newline="") as file:
    rows = [[float(value) for value in row[1:]] for row in csv.reader(file)][:20]
answers = {f"row-{number}": predictor.predict([row], inference_id=f"row-{number}") for number, row in enumerate(rows)}
sent = {f"row-{number}": ",".join(str(value) for value in row) for number, row in enumerate(rows)}

pause = threading.Event()
place = f"{destination}/{predictor.endpoint_name}"
for _ in range(120):
    files = sorted(S3Downloader.list(place))
    texts = [S3Downloader.read_file(name) for name in files]
    lines = [json.loads(line) for text in texts for line in text.splitlines()]
    if len(lines) >= len(rows):
        break
    pause.wait(1)

for line in lines:
    name = line["eventMetadata"]["inferenceId"]
    data = line["captureData"]
    assert data["endpointInput"]["encoding"] == data["endpointOutput"]["encoding"] == "CSV", data
    assert data["endpointInput"]["data"].strip() == sent[name], (data, sent[name])
    assert data["endpointOutput"]["data"].encode() == answers[name], (data, answers[name])

predictor.disable_data_capture()
status = session.sagemaker_client.describe_endpoint(EndpointName=predictor.endpoint_name)["DataCaptureConfig"]
predictor.delete_model()
predictor.delete_endpoint()
print(json.dumps({"captured": len(lines), "files": files, "place": place, "status": status["CaptureStatus"]}))
