"""SageMaker SDK v3: a user's script through `ModelTrainer` with `SourceCode`."""

import json
import logging
import sys
from pathlib import Path

from sagemaker.core import image_uris
from sagemaker.core.helper.session_helper import Session
from sagemaker.core.training.configs import Compute, InputData, SourceCode
from sagemaker.train.model_trainer import ModelTrainer

logging.basicConfig(level=logging.INFO, stream=sys.stdout, force=True)  # the SDK logs the job's log
folder = Path(sys.argv[1])
session = Session()
trainer = ModelTrainer(
    training_image=image_uris.retrieve(
        "sklearn", session.boto_region_name, version="1.2-1", instance_type="ml.m5.large"
    ),
    source_code=SourceCode(source_dir=str(Path(__file__).parent / "scripts"), entry_script="flights_model.py"),
    compute=Compute(instance_type="ml.m5.large", instance_count=1),
    hyperparameters={"max-iter": 60},
    base_job_name="v3-script",
)
trainer.train(input_data_config=[InputData(channel_name="train", data_source=str(folder / "train.csv"))])
job = trainer._latest_training_job
job.refresh()
bucket, _, key = job.model_artifacts.s3_model_artifacts.removeprefix("s3://").partition("/")
size = session.boto_session.client("s3").head_object(Bucket=bucket, Key=key)["ContentLength"]
print(json.dumps({"status": job.training_job_status, "model_bytes": size}))
