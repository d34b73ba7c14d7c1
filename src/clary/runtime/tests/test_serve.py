"""The inference server, started as the platform does and asked over real sockets."""

import http.client
import io
import json
from pathlib import Path

import numpy as np
import pytest
import xgboost

from clary.runtime.algorithms.xgboost.serving import load_model
from clary.runtime.errors import CustomerError
from clary.runtime.formats.recordio import decode_records, encode_table, frames, parse_record
from clary.runtime.inference.contract import Refused, Request
from clary.runtime.tests.conftest import Job
from clary.runtime.tests.servers import gate, serving, wait_until

Rows = tuple[np.ndarray, np.ndarray]


def booster_of(rows: Rows, **parameters: object) -> xgboost.Booster:
    labels, features = rows
    return xgboost.train(
        {"objective": "binary:logistic", "nthread": 1, "max_depth": 4} | parameters,
        xgboost.DMatrix(features, labels),
        num_boost_round=20,
    )


def put_model(job: Job, booster: xgboost.Booster) -> None:
    job.put("model/xgboost-model", bytes(booster.save_raw("ubj")))


def csv(features: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savetxt(buffer, features, delimiter=",", fmt="%.9g")
    return buffer.getvalue()


def test_the_built_in_model_answers_every_format(job: Job, rows: Rows) -> None:
    booster = booster_of(rows)
    put_model(job, booster)
    features = rows[1][:5]
    expected = booster.predict(xgboost.DMatrix(features)).tolist()
    libsvm = "\n".join(" ".join(f"{i}:{value:.9g}" for i, value in enumerate(row)) for row in features)

    with serving(job, CLARY_ALGORITHM="xgboost") as server:
        assert server.ask("GET", "/ping")[0] == 200
        parameters = json.loads(server.ask("GET", "/execution-parameters")[2])
        assert parameters == {"MaxConcurrentTransforms": 1, "BatchStrategy": "MULTI_RECORD", "MaxPayloadInMB": 6}

        for row, value in zip(features, expected, strict=True):
            assert server.invoke(csv(row[None, :])) == (200, "text/csv; charset=utf-8", f"{value!r}\n".encode())
        lines = "".join(f"{value!r}\n" for value in expected).encode()
        assert server.invoke(csv(features)) == (200, "text/csv; charset=utf-8", lines)
        assert server.invoke(libsvm, "text/libsvm")[2] == lines
        assert server.invoke(encode_table(features), "application/x-recordio-protobuf")[2] == lines

        rows_of_json = [{"score": value} for value in expected]
        assert json.loads(server.invoke(csv(features), accept="application/json")[2]) == {"predictions": rows_of_json}
        by_line = server.invoke(csv(features), accept="application/jsonlines;q=1, text/csv")[2].splitlines()
        assert [json.loads(line) for line in by_line] == rows_of_json
        records = server.invoke(csv(features), accept="application/x-recordio-protobuf")[2]
        scores = [float(parse_record(payload).label["score"].values[0]) for payload in frames(records)]
        assert scores == expected

        missing = features[:1].copy()
        missing[0, 2] = np.nan
        value = booster.predict(xgboost.DMatrix(missing))[0]
        assert float(server.invoke(csv(missing).replace(b"nan", b""))[2]) == pytest.approx(float(value))
    assert server.process.returncode == 0


def test_what_is_wrong_with_a_request_is_told(job: Job, rows: Rows) -> None:
    put_model(job, booster_of(rows))
    with serving(job, CLARY_ALGORITHM="xgboost", MAX_CONTENT_LENGTH="2000") as server:
        for body, content_type, accept, status, message in [
            (b"1,2,3", "text/csv", "", 400, b"3 features in a row, but the model was trained on 8"),
            (b"1,2,x,4,5,6,7,8", "text/csv", "", 400, b"line 1, column 3: 'x' is not a number"),
            (b"0:1 99:2", "text/libsvm", "", 400, b"100 features"),
            (b"\xff\xd8", "image/jpeg", "", 415, b"ContentType 'image/jpeg' is not supported"),
            (b"1,2,3,4,5,6,7,8", "text/csv", "image/png", 406, b"Accept 'image/png' is not supported"),
            (b"1," * 1500, "text/csv", "", 413, b"over 2000 bytes"),
            (b"", "text/csv", "", 204, b""),
        ]:
            answer = server.invoke(body, content_type, accept)
            assert answer[0] == status, answer
            assert message in answer[2]
        assert server.ask("GET", "/invocations")[0] == 405
        assert server.ask("GET", "/nothing")[0] == 404
        # Still in good health, on the same process.
        assert server.invoke(b"1,2,3,4,5,6,7,8")[0] == 200


def test_several_workers_share_a_unix_socket(job: Job, rows: Rows, tmp_path: Path) -> None:
    put_model(job, booster_of(rows))
    path = str(tmp_path / "s")
    with serving(
        job, CLARY_ALGORITHM="xgboost", CLARY_BIND_UNIX_SOCKET=path, SAGEMAKER_MODEL_SERVER_WORKERS="2"
    ) as server:
        assert server.place == path
        for _ in range(8):
            assert server.invoke(b"1,2,3,4,5,6,7,8")[0] == 200
    assert server.process.returncode == 0
    assert not Path(path).exists()


SCRIPT = """
import json, os, time
from collections import namedtuple

def model_fn(model_dir):
    with open(os.path.join(model_dir, "weights.json")) as file:
        return json.load(file)

def input_fn(body, content_type):
    if content_type != "application/json":
        raise ValueError("send json, not " + content_type)
    assert content_type[0] == content_type and content_type.split("/")[0] == "application"
    return json.loads(body)

def predict_fn(data, model):
    return [sum(w * x for w, x in zip(model, row)) for row in data]

def output_fn(prediction, accept):
    return json.dumps({"sums": prediction, "accept": accept}), "application/json"
"""


def test_a_users_script_answers_with_its_own_functions(job: Job) -> None:
    job.put("model/weights.json", "[1, 2]")
    job.put("model/code/inference.py", SCRIPT)
    with serving(job, SAGEMAKER_PROGRAM="inference.py", CLARY_FRAMEWORK="python") as server:
        status, content_type, body = server.invoke("[[1, 1], [2, 3]]", "application/json", "application/json")
        assert (status, content_type) == (200, "application/json")
        assert json.loads(body) == {"sums": [3, 8], "accept": "application/json"}

        status, _, body = server.invoke("1,1", "text/csv")
        assert (status, body) == (500, b"ValueError: send json, not text/csv")
    log = server.process.log  # type: ignore[attr-defined]
    assert "Traceback" in log
    assert "in input_fn" in log


SKLEARN = """
import joblib, os

def model_fn(model_dir):
    return joblib.load(os.path.join(model_dir, "model.joblib"))
"""


def test_scikit_learn_defaults(job: Job, rows: Rows) -> None:
    import joblib
    from sklearn.linear_model import LogisticRegression

    labels, features = rows
    model = LogisticRegression().fit(features, labels)
    job.paths.model.mkdir()
    joblib.dump(model, job.paths.model / "model.joblib")
    job.put("elsewhere/inference.py", SKLEARN)
    expected = model.predict(features[:4]).tolist()
    buffer = io.BytesIO()
    np.save(buffer, features[:4])

    environment = {"SAGEMAKER_SUBMIT_DIRECTORY": str(job.root / "elsewhere"), "CLARY_FRAMEWORK": "sklearn"}
    with serving(job, SAGEMAKER_PROGRAM="inference.py", **environment) as server:
        answer = server.invoke(buffer.getvalue(), "application/x-npy", "application/x-npy")
        assert np.load(io.BytesIO(answer[2])).tolist() == expected
        as_json = json.dumps({"instances": features[:4].tolist()})
        assert json.loads(server.invoke(as_json, "application/json")[2]) == expected
        assert server.invoke(csv(features[:4]), "text/csv", "text/csv")[2].split() == [
            str(value).encode() for value in expected
        ]
        assert server.invoke(csv(features[:1]).strip(), "text/csv")[0] == 200
        assert server.invoke(b"[1, 2", "application/json")[::2] == (
            400,
            b"the request body is not JSON: Expecting ',' delimiter: line 1 column 6 (char 5)",
        )
        status, _, body = server.invoke(b"1,2,3", "text/csv")
        assert (status, b"ValueError" in body) == (500, True)


@pytest.mark.parametrize(
    ("environment", "files", "message"),
    [
        ({"CLARY_ALGORITHM": "xgboost"}, {}, "holds no XGBoost model"),
        ({"CLARY_ALGORITHM": "xgboost"}, {"model/xgboost-model": "junk"}, "neither a model that XGBoost"),
        ({"SAGEMAKER_PROGRAM": "a.py"}, {}, "SAGEMAKER_PROGRAM is 'a.py'"),
        ({"SAGEMAKER_PROGRAM": "a.py"}, {"model/code/a.py": ""}, "defines no model_fn"),
        (
            {"SAGEMAKER_PROGRAM": "a.py"},
            {"model/code/a.py": "import nothing_like_it"},
            "'nothing_like_it', which is not inst",
        ),
        ({"SAGEMAKER_MODEL_SERVER_WORKERS": "many"}, {}, "SAGEMAKER_MODEL_SERVER_WORKERS is 'many'"),
        ({}, {}, "there is nothing to serve"),
    ],
)
def test_a_model_that_does_not_load_ends_the_server(
    job: Job, environment: dict[str, str], files: dict[str, str], message: str
) -> None:
    for path, text in files.items():
        job.put(path, text)
    job.paths.model.mkdir(exist_ok=True)
    done = job.run("serve", SAGEMAKER_BIND_TO_PORT="0", **environment)
    assert done.returncode == 1
    assert message in done.stderr.splitlines()[-1]


def test_a_model_that_hangs_answers_504_and_fails_its_ping_until_it_is_back(job: Job) -> None:
    job.put(
        "model/code/inference.py",
        "def model_fn(d): return None\n"
        "def transform_fn(model, body, content_type, accept): return open(body).read(), 'text/plain'\n",
    )
    opened = gate(job.root / "gate")
    with serving(job, SAGEMAKER_MODEL_SERVER_TIMEOUT="1") as server:
        assert server.invoke(str(opened)) == (504, "text/plain; charset=utf-8", b"the model did not answer within 1 s")
        assert server.ask("GET", "/ping")[::2] == (503, b"the model hangs: a request is unanswered after 1 s")
        opened.write_text("late")
        wait_until(lambda: server.ask("GET", "/ping")[0] == 200)
        assert server.invoke("/dev/null")[0] == 200
    assert server.process.returncode == 0


def test_a_worker_that_hangs_or_dies_is_replaced(job: Job) -> None:
    job.put(
        "model/code/inference.py",
        "import os\n"
        "def model_fn(d): return None\n"
        "def transform_fn(model, body, content_type, accept):\n"
        "    if body == 'die': os.abort()\n"
        "    return (open(body).read() if body else str(os.getpid())), 'text/plain'\n",
    )
    stuck = gate(job.root / "gate")
    with serving(job, SAGEMAKER_MODEL_SERVER_TIMEOUT="1", SAGEMAKER_MODEL_SERVER_WORKERS="2") as server:
        before = set()
        wait_until(lambda: before.add(server.invoke("")[2]) or len(before) == 2)
        assert server.invoke(str(stuck))[0] == 504
        with pytest.raises((ConnectionError, http.client.HTTPException)):
            server.invoke("die")
        after = set()
        wait_until(lambda: after.add(server.invoke("")[2]) or len(after - before) == 2)
    assert server.process.returncode == 0


PLAIN = [
    {}, {"base_score": 0.2}, {"objective": "reg:squarederror"}, {"objective": "reg:logistic"},
    {"objective": "count:poisson"}, {"objective": "reg:tweedie"}, {"objective": "binary:logitraw"},
    {"objective": "rank:pairwise"}, {"num_parallel_tree": 3, "subsample": 0.5},
    {"objective": "multi:softprob", "num_class": 2}, {"objective": "multi:softmax", "num_class": 2},
    {"tree_method": "exact", "max_depth": 6},
]  # fmt: skip
OTHERS: list[dict[str, object]] = [{"booster": "dart", "rate_drop": 0.3}, {"booster": "gblinear"}]


@pytest.mark.parametrize("parameters", PLAIN + OTHERS)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_quick_row_is_the_very_number_of_predict(job: Job, rows: Rows, parameters: dict[str, object]) -> None:
    labels, features = rows
    features = features.copy()
    features[::7, 3] = np.nan
    data = xgboost.DMatrix(features, labels)
    if str(parameters.get("objective")).startswith("rank"):
        data.set_group([len(labels)])
    booster = xgboost.train({"objective": "binary:logistic", "nthread": 1, "max_depth": 4} | parameters, data, 20)
    put_model(job, booster)
    model = load_model(job.paths.model)
    pytest.importorskip("llvmlite")
    assert (model._trees is not None) == (parameters in PLAIN)

    asked = on_thresholds(booster, features)
    for row, expected in zip(asked, booster.predict(xgboost.DMatrix(asked)), strict=True):
        line = (",".join(map(repr, np.atleast_1d(expected).tolist())) + "\n").encode()
        text = ",".join(map(repr, row.tolist())).encode()
        quick = model.quick(text, b"text/csv", b"")
        assert quick is None or quick.body == line
        assert (quick is None) == ("booster" in parameters)
    assert model.invoke(Request(text, "text/csv")).body == line


def on_thresholds(booster: xgboost.Booster, features: np.ndarray) -> np.ndarray:
    """Rows of values that the trees split at, exactly, or that are missing."""
    generator = np.random.default_rng(3)
    asked = features[:300].copy()
    if booster.get_dump()[0].startswith("bias"):
        return asked
    frame = booster.trees_to_dataframe()
    for column in range(asked.shape[1]):
        splits = frame.loc[frame["Feature"] == f"f{column}", "Split"].to_numpy(np.float32)
        if len(splits):
            asked[100:, column] = generator.choice(splits, 200)
    asked[200:][generator.random((100, asked.shape[1])) < 0.2] = np.nan
    return asked


def test_categories_are_left_to_the_library(job: Job, rows: Rows) -> None:
    labels, features = rows
    features = np.column_stack([np.arange(len(labels)) % 5, features[:, 0]]).astype(np.float32)
    data = xgboost.DMatrix(features, labels, feature_types=["c", "q"], enable_categorical=True)
    booster = xgboost.train({"tree_method": "hist", "max_cat_to_onehot": 1, "nthread": 1}, data, 5)
    put_model(job, booster)
    model = load_model(job.paths.model)
    assert model._trees is None
    for row, expected in zip(features[:20], booster.predict(data)[:20].tolist(), strict=True):
        quick = model.quick(b"%r,%r" % tuple(row.tolist()), b"text/csv", b"")
        assert quick is not None
        assert quick.body == b"%r\n" % expected


def test_an_early_stop_counts_for_the_quick_row_too(job: Job, rows: Rows) -> None:
    booster = booster_of(rows)
    booster.set_attr(best_iteration="4")
    put_model(job, booster)
    model = load_model(job.paths.model)
    expected = booster.predict(xgboost.DMatrix(rows[1][:1]), iteration_range=(0, 5)).tolist()[0]
    quick = model.quick(csv(rows[1][:1]).strip(), b"text/csv", b"")
    assert quick is not None
    assert quick.body == b"%r\n" % expected


def test_selected_outputs(job: Job, rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    put_model(job, booster_of(rows))
    row = Request(csv(rows[1][:1]), "text/csv", "application/json")
    monkeypatch.setenv("SAGEMAKER_INFERENCE_OUTPUT", "predicted_label,probability,probabilities,raw_score,labels")
    (answer,) = json.loads(load_model(job.paths.model).invoke(row).body)["predictions"]
    probability = answer["probability"]
    assert list(answer) == ["predicted_label", "probability", "probabilities", "raw_score", "labels"]
    assert answer["predicted_label"] == int(probability > 0.5)
    assert 1 / (1 + np.exp(-answer["raw_score"])) == pytest.approx(probability, abs=1e-6)

    monkeypatch.setenv("SAGEMAKER_INFERENCE_OUTPUT", "predicted_score")
    with pytest.raises(Refused, match="binary:logistic does not give"):
        load_model(job.paths.model).invoke(row)
    monkeypatch.setenv("SAGEMAKER_INFERENCE_OUTPUT", "colour")
    with pytest.raises(CustomerError, match="'colour'"):
        load_model(job.paths.model)


def test_a_pickled_booster_is_read_too(job: Job, rows: Rows) -> None:
    import pickle

    booster = booster_of(rows)
    job.put("model/xgboost-model", pickle.dumps(booster))
    table = decode_records(encode_table(rows[1][:3]))
    np.testing.assert_array_equal(
        load_model(job.paths.model).predict(table), booster.predict(xgboost.DMatrix(rows[1][:3]))
    )
