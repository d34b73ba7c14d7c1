"""The built-in XGBoost: every format the same model, the documented hyperparameters, checkpoints, stops."""

import io
import json
import os
import re
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest
import scipy.sparse
import xgboost
from pyarrow import parquet

from clary.runtime import algorithms
from clary.runtime.algorithms.xgboost.parameters import plan
from clary.runtime.algorithms.xgboost.schema import SCHEMA
from clary.runtime.errors import CustomerError
from clary.runtime.formats.recordio import encode_table, frame
from clary.runtime.tests.conftest import Job

Rows = tuple[np.ndarray, np.ndarray]
SPLIT = 900
BASIC = {"num_round": "12", "objective": "binary:logistic", "eval_metric": "auc", "max_depth": "3", "seed": "1"}


def csv(labels: np.ndarray, features: np.ndarray, weights: np.ndarray | None = None) -> str:
    leading = [labels] if weights is None else [labels, weights]
    buffer = io.StringIO()
    np.savetxt(buffer, np.column_stack([*leading, features]), delimiter=",", fmt="%.6g")
    return buffer.getvalue()


def libsvm(labels: np.ndarray, features: np.ndarray) -> str:
    lines = (
        f"{label:g} " + " ".join(f"{index}:{value:.6g}" for index, value in enumerate(row))
        for label, row in zip(labels, features, strict=True)
    )
    return "\n".join(lines)


def as_parquet(labels: np.ndarray, features: np.ndarray) -> bytes:
    sink = io.BytesIO()
    columns = {"y": labels} | {f"x{index}": features[:, index] for index in range(features.shape[1])}
    parquet.write_table(pyarrow.table(columns), sink)
    return sink.getvalue()


FORMATS: dict[str, Any] = {
    "text/csv": csv,
    "text/libsvm": libsvm,
    "application/x-parquet": as_parquet,
    "application/x-recordio-protobuf": lambda labels, features: encode_table(features, labels),
    "sparse recordio": lambda labels, features: encode_table(scipy.sparse.csr_matrix(features), labels),
}


def put_channels(job: Job, rows: Rows, kind: str = "text/csv") -> dict[str, dict[str, Any]]:
    labels, features = rows
    encode = FORMATS[kind]
    job.put("input/data/train/part-0", encode(labels[:500], features[:500]))
    job.put("input/data/train/nested/part-1", encode(labels[500:SPLIT], features[500:SPLIT]))
    job.put("input/data/validation/data", encode(labels[SPLIT:], features[SPLIT:]))
    content_type = "application/x-recordio-protobuf" if kind == "sparse recordio" else kind
    return {name: {"ContentType": content_type, "TrainingInputMode": "File"} for name in ("train", "validation")}


def train(job: Job, hyperparameters: dict[str, str], channels: dict[str, dict[str, Any]]) -> xgboost.Booster:
    description = job.configure(hyperparameters, channels)
    algorithms.load("xgboost").train(job.paths, description)
    booster = xgboost.Booster()
    with pytest.warns(UserWarning, match="Unknown file format"):
        booster.load_model(job.paths.model / "xgboost-model")
    return booster


def auc(booster: xgboost.Booster, rows: Rows) -> float:
    labels, features = rows
    scores = booster.predict(xgboost.DMatrix(features[SPLIT:]))
    positive, negative = scores[labels[SPLIT:] == 1], scores[labels[SPLIT:] == 0]
    return float((positive[:, None] > negative[None, :]).mean())


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_gives_the_same_model(job: Job, rows: Rows, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    booster = train(job, BASIC, put_channels(job, rows, kind))
    # Zeros of sparse data are missing values, so that its trees differ a little.
    assert auc(booster, rows) == pytest.approx(0.910, abs=2e-2 if kind == "sparse recordio" else 1e-3)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("[")]
    assert len(lines) == 12
    last = re.fullmatch(r"\[11\]\ttrain-auc:([\d.]+)\tvalidation-auc:([\d.]+)", lines[-1])
    assert last
    assert float(last[2]) == pytest.approx(auc(booster, rows), abs=2e-3)
    documented = r".*\[[0-9]+\].*#011validation-auc:([-+]?[0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?).*"
    assert re.match(documented, lines[-1].replace("\t", "#011"))


@pytest.mark.parametrize("wrapped", [False, True])
def test_pipe_mode_reads_the_first_epochs_fifo(job: Job, rows: Rows, wrapped: bool) -> None:
    labels, features = rows
    if wrapped:
        objects = csv(labels[:700], features[:700]), csv(labels[700:], features[700:])
        content = b"".join(frame(text.encode()) for text in objects)
        config = {"ContentType": "text/csv", "TrainingInputMode": "Pipe", "RecordWrapperType": "RecordIO"}
    else:
        content = encode_table(features, labels)
        config = {"ContentType": "application/x-recordio-protobuf", "TrainingInputMode": "Pipe"}
    data = job.paths.data
    data.mkdir(parents=True)
    fifo = data / "train_0"
    os.mkfifo(fifo)
    writer = threading.Thread(target=fifo.write_bytes, args=(content,))
    writer.start()
    booster = train(job, BASIC, {"train": config})
    writer.join()
    assert auc(booster, rows) > 0.93


def test_weights_of_csv_count(job: Job, rows: Rows) -> None:
    labels, features = rows
    weights = np.where(labels == 1, 9.0, 1.0)
    job.put("input/data/train/a.csv", csv(labels, features, weights))
    channels = {"train": {"ContentType": "text/csv"}}
    weighted = train(job, BASIC | {"csv_weights": "1"}, channels).predict(xgboost.DMatrix(features)).mean()
    job.put("input/data/train/a.csv", csv(labels, features))
    plain = train(job, BASIC, channels).predict(xgboost.DMatrix(features)).mean()
    assert weighted > plain + 0.1


@pytest.mark.parametrize(
    ("hyperparameters", "labels"),
    [
        ({"objective": "reg:squarederror"}, "real"),
        ({"objective": "reg:linear"}, "real"),
        ({"objective": "count:poisson"}, "counts"),
        ({"objective": "multi:softmax", "num_class": "3", "eval_metric": "merror,accuracy,f1_macro"}, "classes"),
        ({"objective": "multi:softprob", "num_class": "3", "eval_metric": "mlogloss,recall"}, "classes"),
        ({"objective": "reg:tweedie", "tweedie_variance_power": "1.4"}, "counts"),
        ({"objective": "binary:hinge", "eval_metric": "precision,f1_binary"}, "binary"),
        ({"objective": "reg:squarederror", "booster": "gblinear", "eval_metric": "mse,r2"}, "real"),
        ({"booster": "dart", "rate_drop": "0.2", "one_drop": "1", "normalize_type": "forest"}, "real"),
        ({"tree_method": "approx", "sketch_eps": "0.1", "monotone_constraints": "(1,0,0,0,0,0,0,0)"}, "real"),
        ({"tree_method": "hist", "grow_policy": "lossguide", "max_leaves": "7", "max_bin": "32"}, "real"),
        ({"tree_method": "exact", "interaction_constraints": "[[0, 1], [2, 3, 4]]"}, "real"),
        ({"updater": "grow_colmaker,prune", "scale_pos_weight": "2", "gamma": "0.1"}, "real"),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning")  # the library's, of parameters that do not go together
def test_documented_hyperparameters_train(
    job: Job, rows: Rows, hyperparameters: dict[str, str], labels: str, capsys: pytest.CaptureFixture[str]
) -> None:
    binary, features = rows
    y = {
        "binary": binary,
        "real": features[:, 0] * 3 + features[:, 1],
        "counts": np.round(np.exp(features[:, 0] / 2)),
        "classes": np.digitize(features[:, 0], [-0.5, 0.5]),
    }[labels]
    channels = put_channels(job, (y, features))
    train(job, {"num_round": "3", "max_depth": "3"} | hyperparameters, channels)
    metrics = capsys.readouterr().out.splitlines()[-2]
    assert metrics.startswith("[2]\ttrain-")
    for name in hyperparameters.get("eval_metric", "").split(","):
        assert f"validation-{name}:" in metrics or not name


def test_metrics_of_sagemakers_own_are_exact(job: Job, rows: Rows, capsys: pytest.CaptureFixture[str]) -> None:
    booster = train(job, BASIC | {"eval_metric": "accuracy,f1,recall,mse"}, put_channels(job, rows))
    labels, features = rows[0][SPLIT:], rows[1][SPLIT:]
    scores = booster.predict(xgboost.DMatrix(features))
    predicted = scores > 0.5
    true_positive = (predicted & (labels == 1)).sum()
    f1 = [2 * ((predicted == c) & (labels == c)).sum() / ((predicted == c).sum() + (labels == c).sum()) for c in (0, 1)]
    printed = capsys.readouterr().out.splitlines()[-2]
    found = {name: float(value) for name, value in re.findall(r"validation-(\w+):([\d.]+)", printed)}
    assert found == {
        "accuracy": pytest.approx((predicted == labels).mean(), abs=1e-5),
        "f1": pytest.approx(np.mean(f1), abs=1e-5),
        "recall": pytest.approx(true_positive / (labels == 1).sum(), abs=1e-5),
        "mse": pytest.approx(((scores - labels) ** 2).mean(), abs=1e-5),
    }


def test_early_stopping_keeps_the_best_round(job: Job, rows: Rows, capsys: pytest.CaptureFixture[str]) -> None:
    hyperparameters = {"num_round": "300", "objective": "binary:logistic", "eval_metric": "auc,logloss", "eta": "0.9"}
    booster = train(job, hyperparameters | {"early_stopping_rounds": "4"}, put_channels(job, rows))
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("[")]
    losses = [float(line.rpartition(":")[2]) for line in lines]
    best = int(np.argmin(losses))
    assert len(lines) == best + 5
    assert booster.num_boosted_rounds() == best + 1


def test_a_checkpoint_is_resumed_to_the_same_model(job: Job, rows: Rows, capsys: pytest.CaptureFixture[str]) -> None:
    channels = put_channels(job, rows)
    straight = train(job, BASIC, channels)
    job.paths.checkpoints.mkdir()
    train(job, BASIC | {"num_round": "7"}, channels)
    files = sorted(path.name for path in job.paths.checkpoints.iterdir())
    assert files == [f"xgboost-checkpoint.{number}" for number in (3, 4, 5, 6, 7)]
    job.put("checkpoints/xgboost-checkpoint.8", b"torn")
    capsys.readouterr()

    resumed = train(job, BASIC, channels)

    printed = capsys.readouterr().out.splitlines()
    assert printed[:2] == ["checkpoint xgboost-checkpoint.8 is damaged; trying the one before it",
                           "resuming after round 6 from a checkpoint"]  # fmt: skip
    assert printed[2].startswith("[7]\t")
    assert resumed.num_boosted_rounds() == 12
    features = xgboost.DMatrix(rows[1])
    np.testing.assert_allclose(resumed.predict(features), straight.predict(features), rtol=1e-5)


def test_sigterm_saves_the_model_when_asked_to(job: Job, rows: Rows) -> None:
    job.environment = {"CLARY_ALGORITHM": "xgboost"}
    endless = BASIC | {"num_round": "1000000", "save_model_on_termination": "true"}
    job.configure(endless, put_channels(job, rows))
    with job.start("train") as process:
        assert process.stdout is not None
        while not process.stdout.readline().startswith("[3]"):
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=180)
    assert process.returncode == 0, err
    assert "saved the model of" in out
    assert (job.paths.model / "xgboost-model").stat().st_size > 1000


@pytest.mark.parametrize(
    ("hyperparameters", "message"),
    [
        ({}, "num_round is required; valid values: integer in [1, inf)"),
        ({"num_round": "10", "eta": "2"}, "eta is '2'; valid values: float in [0, 1]"),
        ({"num_round": "ten", "max_depht": "3"}, "max_depht is not a hyperparameter of XGBoost; num_round is 'ten'"),
        ({"num_round": "1", "objective": "multi:softmax"}, "multi:softmax needs num_class"),
        ({"num_round": "1", "num_class": "3"}, "num_class is only for multi:softmax"),
        ({"num_round": "1", "tree_method": "gpu_hist"}, "tree_method=gpu_hist needs a GPU, but this host has no GPU"),
        ({"num_round": "1", "use_dask_gpu_training": "true"}, "use_dask_gpu_training"),
        ({"num_round": "1", "eval_metric": "auc,gini"}, "eval_metric 'gini' is unknown"),
        ({"num_round": "1", "process_type": "update"}, "process_type is 'update'"),
        ({"num_round": "1", "monotone_constraints": "(2)"}, "monotone_constraints is '(2)'"),
    ],
)
def test_wrong_hyperparameters_are_named(hyperparameters: dict[str, str], message: str) -> None:
    with pytest.raises(CustomerError) as caught:
        plan(SCHEMA.parse(hyperparameters))
    assert message in str(caught.value)


def test_hyperparameters_are_read_as_documented(capsys: pytest.CaptureFixture[str]) -> None:
    chosen = plan(
        SCHEMA.parse(
            {"num_round": "5", "lambda": "2", "deterministic_histogram": "true", "objective": '"binary:logistic"'}
        ),
        "validation:f1",
    )
    assert chosen.booster["lambda"] == 2.0
    assert chosen.booster["objective"] == "binary:logistic"
    assert "deterministic_histogram" not in chosen.booster
    assert chosen.metrics == ["f1"]
    assert "deterministic_histogram=true has no effect" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("files", "channels", "message"),
    [
        ({}, {}, "XGBoost needs a channel named 'train'; the channels given are: none"),
        ({"train/_SUCCESS": ""}, {"train": "text/csv"}, "channel 'train' holds no data"),
        ({"train/a.csv": "y,x\n1,2\n"}, {"train": "text/csv"}, "file train/a.csv, line 1, column 1: 'y'"),
        ({"train/a.csv": "1,2\n", "train/b.csv": "1,2,3\n"}, {"train": "text/csv"}, "b.csv: has 2 features where"),
        ({"train/a": "1,2\n"}, {"train": "image/png"}, "content type 'image/png'"),
        ({"train/a.csv": ",2\n1,2\n"}, {"train": "text/csv"}, "a row without a label (data row 1)"),
        ({"train/a.csv": "7,2\n1,2\n"}, {"train": "text/csv"}, "XGBoost refused: "),
        (
            {"train/a.csv": "1,2\n0,2\n", "validation/a.csv": "1,2,3\n"},
            {"train": "text/csv", "validation": "text/csv"},
            "channel 'train' has 1 features, but other data of this job has 2",
        ),
    ],
)
def test_wrong_data_is_told_in_the_failure_file(
    job: Job, files: dict[str, str], channels: dict[str, str], message: str
) -> None:
    for path, text in files.items():
        job.put(f"input/data/{path}", text)
    description = job.configure(BASIC, {name: {"ContentType": content} for name, content in channels.items()})
    with pytest.raises(CustomerError) as caught:
        algorithms.load("xgboost").train(job.paths, description)
    assert message in str(caught.value)
    assert "Stack trace" not in str(caught.value)


def test_the_command_reports_customer_errors_without_a_traceback(job: Job) -> None:
    job.configure({"num_round": "5"})
    done = job.run("train", CLARY_ALGORITHM="xgboost")
    assert done.returncode == 1
    assert job.failure.startswith("Customer Error: XGBoost needs a channel named 'train'")
    assert "Traceback" not in done.stderr


def test_two_hosts_train_as_well_as_one(make_job: Any, rows: Rows, port: int) -> None:
    labels, features = rows
    hosts = ["algo-1", "algo-2"]
    environment = {
        "CLARY_ALGORITHM": "xgboost",
        "CLARY_HOST_ADDRESSES": json.dumps(dict.fromkeys(hosts, "127.0.0.1")),
        "CLARY_RENDEZVOUS_PORT": str(port),
    }
    started = []
    for index, host in reversed(list(enumerate(hosts))):
        job = make_job(host)
        job.environment = environment
        job.put("input/data/train/a.csv", csv(labels[index:SPLIT:2], features[index:SPLIT:2]))
        job.put("input/data/validation/a.csv", csv(labels[SPLIT:], features[SPLIT:]))
        channels = {name: {"ContentType": "text/csv"} for name in ("train", "validation")}
        job.configure(BASIC | {"eval_metric": "auc,f1"}, channels, {"current_host": host, "hosts": hosts})
        started.append((job, job.start("train")))
    results = []
    for job, process in started:
        with process:
            out, err = process.communicate(timeout=180)
        assert process.returncode == 0, err
        results.append((job, out))
    (second, second_out), (first, first_out) = results

    booster = algorithms.load("xgboost").load_model(first.paths.model)._booster
    assert auc(booster, rows) == pytest.approx(0.910, abs=1e-2)
    assert not (second.paths.model / "xgboost-model").exists()
    assert "[11]\ttrain-auc:" in first_out
    assert "\tvalidation-f1:" in first_out
    assert "[11]" not in second_out


@pytest.fixture
def port() -> Iterator[int]:
    """A port that nobody else is given meanwhile: it is held by a socket that does not listen, beside which one may."""
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        yield int(holder.getsockname()[1])


def test_the_model_is_what_plain_xgboost_reads(job: Job, rows: Rows, tmp_path: Path) -> None:
    train(job, BASIC, put_channels(job, rows))
    content = (job.paths.model / "xgboost-model").read_bytes()
    named = tmp_path / "model.ubj"
    named.write_bytes(content)
    booster = xgboost.Booster(model_file=named)
    assert booster.num_boosted_rounds() == 12


def test_a_host_that_fails_ends_the_others(make_job: Any, rows: Rows, port: int) -> None:
    hosts = ["algo-1", "algo-2"]
    environment = {
        "CLARY_ALGORITHM": "xgboost",
        "CLARY_HOST_ADDRESSES": json.dumps(dict.fromkeys(hosts, "127.0.0.1")),
        "CLARY_RENDEZVOUS_PORT": str(port),
    }
    jobs = []
    for host in hosts:
        job = make_job(host)
        job.environment = environment
        job.put("input/data/train/a.csv", csv(*rows) if host == "algo-1" else "1,2\n0,x\n")
        job.configure(BASIC, {"train": {"ContentType": "text/csv"}}, {"current_host": host, "hosts": hosts})
        jobs.append((job, job.start("train")))
    for _, process in jobs:
        with process:
            process.communicate(timeout=180)
        assert process.returncode == 1
    assert "lost another host of this job" in jobs[0][0].failure
    assert "a.csv, line 2, column 2: 'x' is not a number" in jobs[1][0].failure
