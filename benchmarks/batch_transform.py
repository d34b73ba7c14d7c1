"""Claim: a batch transform of a million rows of CSV through XGBoost takes at most 1.25 times as long as to read,
predict and write them in one process. Also with an id before each row, which the model does not see and the output has.

Side by side in turns: the transform job between its TransformStartTime and TransformEndTime, which includes the model's
load and the store of the output, and a Python process that does the same with pyarrow and XGBoost, imports included.
"""

import io
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import xgboost

from benchmarks.clary_server import clary
from clary.testing import Server

_ROWS, _COLUMNS, _TREES, _ROUNDS = 1_000_000, 28, 100, 3
_BUCKET = "bench-transform"
_IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:1.7-1"
_ROLE = "arn:aws:iam::000000000000:role/Benchmark"

_BY_HAND = """
import sys
import numpy as np, pyarrow as pa, pyarrow.csv, xgboost

model, rows, out, columns, ids = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5])
booster = xgboost.Booster(model_file=model)
types = {f"f{column}": pa.float32() for column in range(ids, ids + columns)}
if ids:
    types["f0"] = pa.string()
table = pa.csv.read_csv(
    rows,
    read_options=pa.csv.ReadOptions(autogenerate_column_names=True),
    convert_options=pa.csv.ConvertOptions(column_types=types),
)
features = np.empty((table.num_rows, columns), np.float32)
for column in range(columns):
    features[:, column] = table.column(ids + column).to_numpy()
scores = booster.inplace_predict(features).tolist()
with open(out, "w") as file:
    if ids:
        file.write("".join([f"{id},{score!r}\\n" for id, score in zip(table.column(0).to_pylist(), scores)]))
    else:
        file.write("".join([f"{score!r}\\n" for score in scores]))
"""


def run(seconds: float) -> None:
    """`seconds` has no meaning here: each way scores the same rows a few times."""
    with tempfile.TemporaryDirectory() as scratch, clary() as server:
        folder = Path(scratch)
        _make(folder)
        _store(server, folder)
        for kind, what in (("rows", ""), ("named", ", an id before each row and its score")):
            by_hand, jobs = [], []
            for number in range(_ROUNDS):
                by_hand.append(_in_process(folder, kind))
                jobs.append(_job(server, kind, number))
            stored = server.client("s3").get_object(Bucket=_BUCKET, Key=f"out/{kind}.csv.out")["Body"].read()
            if stored != (folder / "scores").read_bytes():
                raise RuntimeError("the transform's output is not what the process in hand wrote")
            _show(what, by_hand, jobs)


def _show(what: str, by_hand: list[float], jobs: list[float]) -> None:
    print(f"\nBatch transform: {_ROWS:,} rows of {_COLUMNS} columns, {_TREES} trees{what}; the same output to the byte")
    print(f"  {'':28}{'median s':>11}{'best s':>11}{'rows/s':>13}")
    for name, found in (("one process, by hand", by_hand), ("Clary, transform job", jobs)):
        middle = statistics.median(found)
        print(f"  {name:28}{middle:>11.2f}{min(found):>11.2f}{_ROWS / middle:>13,.0f}")
    print(f"  the job takes {statistics.median(jobs) / statistics.median(by_hand):.2f} times as long")


def _make(folder: Path) -> None:
    dice = np.random.default_rng(0)
    features = dice.normal(size=(_ROWS, _COLUMNS)).astype(np.float32).round(5)
    sample = features[:20_000]
    labels = (sample[:, 0] * sample[:, 1] + sample[:, 2] > 0).astype(np.float32)
    booster = xgboost.train({"objective": "binary:logistic", "max_depth": 6}, xgboost.DMatrix(sample, labels), _TREES)
    booster.save_model(folder / "model.ubj")
    table = pa.table({str(column): features[:, column] for column in range(_COLUMNS)})
    plain = pyarrow.csv.WriteOptions(include_header=False, quoting_style="none")
    pyarrow.csv.write_csv(table, folder / "rows.csv", plain)
    named = table.add_column(0, "id", [[f"id-{number}" for number in range(_ROWS)]])
    pyarrow.csv.write_csv(named, folder / "named.csv", plain)


def _store(server: Server, folder: Path) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        tar.add(folder / "model.ubj", "xgboost-model")
    s3 = server.client("s3")
    s3.create_bucket(Bucket=_BUCKET)
    s3.put_object(Bucket=_BUCKET, Key="model.tar.gz", Body=packed.getvalue())
    for kind in ("rows", "named"):
        s3.upload_file(str(folder / f"{kind}.csv"), _BUCKET, f"in/{kind}.csv")
    container: Any = {"Image": _IMAGE, "ModelDataUrl": f"s3://{_BUCKET}/model.tar.gz"}
    server.client("sagemaker").create_model(ModelName="bench", ExecutionRoleArn=_ROLE, PrimaryContainer=container)


def _in_process(folder: Path, kind: str) -> float:
    started = time.perf_counter()
    paths = [str(folder / name) for name in ("model.ubj", f"{kind}.csv", "scores")]
    ids = "1" if kind == "named" else "0"
    subprocess.run([sys.executable, "-c", _BY_HAND, *paths, str(_COLUMNS), ids], check=True)
    return time.perf_counter() - started


def _job(server: Server, kind: str, number: int) -> float:
    sagemaker, name = server.client("sagemaker"), f"bench-{kind}-{number}"
    joined: Any = {"InputFilter": "$[1:]", "JoinSource": "Input", "OutputFilter": "$[0,-1]"}
    sagemaker.create_transform_job(
        TransformJobName=name,
        ModelName="bench",
        TransformInput={
            "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{_BUCKET}/in/{kind}.csv"}},
            "ContentType": "text/csv",
            "SplitType": "Line",
        },
        TransformOutput={"S3OutputPath": f"s3://{_BUCKET}/out", "AssembleWith": "Line"},
        TransformResources={"InstanceType": "ml.m5.xlarge", "InstanceCount": 1},
        DataProcessing=joined if kind == "named" else {},
    )
    waiting: Any = {"Delay": 1, "MaxAttempts": 600}
    sagemaker.get_waiter("transform_job_completed_or_stopped").wait(TransformJobName=name, WaiterConfig=waiting)
    job = sagemaker.describe_transform_job(TransformJobName=name)
    return (job["TransformEndTime"] - job["TransformStartTime"]).total_seconds()
