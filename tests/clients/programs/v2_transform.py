"""SageMaker SDK v2: batch transform through `transformer` of estimators, models and pipelines, and `Transformer`.

Each output is compared with what the downloaded model predicts in this process, row for row.
"""

import csv
import gzip
import json
import sys
import tarfile
from pathlib import Path

import joblib
import numpy as np
import sagemaker
import xgboost
from sagemaker.estimator import Estimator
from sagemaker.inputs import BatchDataCaptureConfig, TrainingInput
from sagemaker.pipeline import PipelineModel
from sagemaker.s3 import S3Downloader
from sagemaker.sklearn import SKLearn, SKLearnModel
from sagemaker.transformer import Transformer

folder = Path(sys.argv[1])
work = Path(sys.argv[2])
scripts = str(Path(__file__).parent / "scripts")
session = sagemaker.Session()
role = sagemaker.get_execution_role()
train = session.upload_data(str(folder / "train.csv"), key_prefix="v2-transform/train")
with (folder / "test.csv").open(newline="") as file:
    rows = list(csv.reader(file))
features = np.array([[float(value) for value in row[1:]] for row in rows])


def upload(name, files):
    """Store texts, or bytes, below a prefix of their own; return the prefix."""
    place = work / name
    place.mkdir()
    for key, text in files.items():
        (place / key).write_bytes(text if isinstance(text, bytes) else text.encode())
    return session.upload_data(str(place), key_prefix=f"v2-transform/{name}")


def model_of(uri, name):
    place = work / f"{name}-model"
    S3Downloader.download(uri, str(place))
    with tarfile.open(place / "model.tar.gz") as packed:
        packed.extractall(place, filter="data")
    return place


def outputs(transformer, *names):
    """The lines of all outputs, in order; there must be no other output."""
    found = sorted(S3Downloader.list(transformer.output_path))
    assert [uri.rpartition("/")[2] for uri in found] == [f"{name}.out" for name in names], found
    return [line for uri in found for line in S3Downloader.read_file(uri).splitlines()]


# The built-in XGBoost over CSV: the label stays out of the request, and stands before the answer.
estimator = Estimator(
    sagemaker.image_uris.retrieve("xgboost", session.boto_region_name, version="1.7-1"),
    role,
    instance_count=1,
    instance_type="ml.m5.large",
    base_job_name="v2-transform",
    hyperparameters={"objective": "reg:squarederror", "num_round": 20, "max_depth": 4},
)
estimator.fit({"train": TrainingInput(train, content_type="text/csv")})
half = len(rows) // 2
lines = [",".join(row) for row in rows]
data = upload("csv", {"a.csv": "\n".join(lines[:half]), "b.csv": "\n".join(lines[half:]) + "\n"})
transformer = estimator.transformer(2, "ml.m5.large", strategy="MultiRecord", assemble_with="Line", accept="text/csv")
transformer.transform(
    data,
    content_type="text/csv",
    split_type="Line",
    input_filter="$[1:]",
    join_source="Input",
    output_filter="$[0,-1]",
    logs=True,
)
booster = xgboost.Booster(model_file=model_of(estimator.model_data, "xgboost") / "xgboost-model")
predicted = booster.inplace_predict(features.astype(np.float32)).tolist()
joined = outputs(transformer, "a.csv", "b.csv")
assert joined == [f"{row[0]},{value!r}" for row, value in zip(rows, predicted, strict=True)], joined[:3]
transformer.delete_model()

# A script over JSON Lines, through a model.
sklearn = SKLearn(
    entry_point="flights_model.py",
    source_dir=scripts,
    role=role,
    framework_version="1.2-1",
    instance_type="ml.m5.large",
    base_job_name="v2-transform",
    hyperparameters={"max-iter": 20},
)
sklearn.fit({"train": train}, logs="None")
model = SKLearnModel(
    sklearn.model_data, role, entry_point="flights_lines.py", source_dir=scripts, framework_version="1.2-1"
)
documents = [{"id": number, "features": row} for number, row in enumerate(features.tolist())]
data = upload("jsonlines", {"all.jsonl": "".join(json.dumps(one) + "\n" for one in documents)})
transformer = model.transformer(
    1, "ml.m5.large", assemble_with="Line", accept="application/jsonlines", max_payload=1, max_concurrent_transforms=2
)
transformer.transform(
    data,
    content_type="application/jsonlines",
    split_type="Line",
    input_filter="$.features",
    join_source="Input",
    output_filter="$['id','SageMakerOutput']",
    logs=False,
)
script_predicted = joblib.load(model_of(sklearn.model_data, "sklearn") / "model.joblib").predict(features).tolist()
documents = [json.loads(line) for line in outputs(transformer, "all.jsonl")]
assert documents == [
    {"id": number, "SageMakerOutput": {"minutes": minutes, "by": "flights"}}
    for number, minutes in enumerate(script_predicted)
], documents[:3]

# Two containers: a script that leaves the label out, and XGBoost behind it.
columns = SKLearnModel(
    sklearn.model_data,
    role,
    entry_point="flights_columns.py",
    source_dir=scripts,
    framework_version="1.2-1",
    sagemaker_session=session,  # which PipelineModel does not give it
)
pipeline = PipelineModel([columns, estimator.create_model()], role)
transformer = pipeline.transformer(1, "ml.m5.large", assemble_with="Line", accept="text/csv")
transformer.transform(upload("rows", {"all.csv": "\n".join(lines)}), content_type="text/csv", split_type="Line")
piped = outputs(transformer, "all.csv")
assert piped == [repr(value) for value in predicted], piped[:3]
transformer.delete_model()

# The script's model by its name: single records of packed objects that a manifest names, with ids to find them again.
few = 20
arrays = "".join(json.dumps(row) + "\n" for row in features[:few].tolist())
prefix = upload("packed", {"named.gz": gzip.compress(arrays.encode()), "unnamed.gz": b"not to be read"})
manifest = json.dumps([{"prefix": f"{prefix}/"}, "named.gz"])
by_name = Transformer(
    model.name,
    1,
    "ml.m5.large",
    strategy="SingleRecord",
    assemble_with="Line",
    accept="application/jsonlines",
    sagemaker_session=session,
    base_transform_job_name="v2-by-name",
)
captured = f"s3://{session.default_bucket()}/v2-transform/captured-{work.name}"
by_name.transform(
    f"{upload('manifest', {'input.manifest': manifest})}/input.manifest",
    data_type="ManifestFile",
    content_type="application/jsonlines",
    compression_type="Gzip",
    split_type="Line",
    batch_data_capture_config=BatchDataCaptureConfig(captured, generate_inference_id=True),
    logs=False,
)
singles = [json.loads(line) for line in outputs(by_name, "named.gz")]
assert [one["minutes"] for one in singles] == script_predicted[:few]
[told] = S3Downloader.list(f"{captured}/output")
assert json.loads(S3Downloader.read_file(told)) == [{"prefix": f"{by_name.output_path}/"}, "named.gz.out"]
by_name.delete_model()

print(
    json.dumps(
        {
            "joined": len(joined),
            "documents": len(documents),
            "piped": len(piped),
            "ids": len({one["SageMakerInferenceId"] for one in singles}),
            "error": float(np.abs(np.array(predicted) - [float(row[0]) for row in rows]).mean()),
        }
    )
)
