"""Requests joined into one prediction: the same answers, and everyone's faults their own."""

import io
import json
import threading

import numpy as np
import pytest
import xgboost

from clary.runtime.algorithms.xgboost.serving import XgboostModel, load_model
from clary.runtime.inference.contract import Refused, Reply, Request
from clary.runtime.tests.conftest import Job
from clary.runtime.tests.servers import Answer, Server, serving

Rows = tuple[np.ndarray, np.ndarray]

# Notes how many rows each prediction was of.
SCRIPT = """
import json, os

def model_fn(model_dir):
    return os.path.join(model_dir, "sizes")

def input_fn(body, content_type):
    return json.loads(body)

def predict_fn(data, model):
    with open(model, "a") as file:
        file.write(f"{len(data)} ")
    if ["bad"] in data:
        raise ValueError("bad row")
    return [[str(value) * 2 for value in row] for row in data]

def output_fn(prediction, accept):
    return json.dumps(prediction), accept
"""


def at_once(server: Server, bodies: list[str], content_type: str = "application/json") -> list[Answer]:
    """The answers to requests that are all under way before the first is answered."""
    answers: dict[int, Answer] = {}

    def ask(number: int) -> None:
        answers[number] = server.invoke(bodies[number], content_type, content_type)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(len(bodies))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return [answers[number] for number in range(len(bodies))]


def test_requests_that_wait_are_predicted_together_and_answered_apart(job: Job) -> None:
    job.put("model/code/inference.py", SCRIPT)
    sizes = job.paths.model / "sizes"
    rows = [json.dumps([[number], [number, number]]) for number in range(4)]
    expected = [[[str(number) * 2], [str(number) * 2] * 2] for number in range(4)]
    # A batch is sent when it is full: none of these waits so long.
    with serving(job, CLARY_MAX_BATCH_SIZE="4", CLARY_MAX_BATCH_DELAY_MILLISECONDS="60000") as server:
        assert [json.loads(answer[2]) for answer in at_once(server, rows)] == expected
        assert sizes.read_text() == "8 "
        mixed = at_once(server, [*rows[:2], '[["bad"]]', "{"])
        assert [json.loads(answer[2]) for answer in mixed[:2]] == expected[:2]
        assert mixed[2][::2] == (500, b"ValueError: bad row")
        assert (mixed[3][0], b"JSONDecodeError" in mixed[3][2]) == (500, True)
        # Numbers may be the columns of one row: such lists are predicted one by one.
        assert {answer[0] for answer in at_once(server, ["[1, 2]"] * 4)} == {500}


@pytest.mark.parametrize("kind", ["dense", "sparse"])
def test_joined_answers_of_the_built_in_model_are_those_of_single_requests(job: Job, rows: Rows, kind: str) -> None:
    labels, features = rows
    booster = xgboost.train({"objective": "binary:logistic", "nthread": 1}, xgboost.DMatrix(features, labels), 20)
    job.put("model/xgboost-model", bytes(booster.save_raw("ubj")))
    model = load_model(job.paths.model)
    requests = []
    for start in range(0, 30, 3):
        part = features[start : start + 1 + start % 4]
        if kind == "dense":
            buffer = io.BytesIO()
            np.savetxt(buffer, part, delimiter=",", fmt="%.9g")
            requests.append(Request(buffer.getvalue(), "text/csv", "application/json"))
        else:
            lines = [" ".join(f"{i}:{value:.9g}" for i, value in enumerate(row) if i != start % 8) for row in part]
            requests.append(Request("\n".join(lines).encode(), "text/libsvm", "application/json"))
    requests[4] = Request(b"1,2,3", "text/csv")
    requests[5] = Request(b"", "text/csv")
    requests[6] = Request(b"x", "image/png")
    alone = [outcome_of(model, request) for request in requests]
    assert [str(outcome) for outcome in model.invoke_joined(requests)] == [str(outcome) for outcome in alone]
    assert [type(outcome) for outcome in alone[3:8]] == [Reply, Refused, Reply, Refused, Reply]


def outcome_of(model: XgboostModel, request: Request) -> Reply | Exception:
    try:
        return model.invoke(request)
    except Exception as error:
        return error


def test_joined_answers_of_scikit_learn(job: Job, rows: Rows) -> None:
    import joblib
    from sklearn.ensemble import RandomForestClassifier

    labels, features = rows
    model = RandomForestClassifier(5, random_state=0).fit(features, labels)
    job.paths.model.mkdir()
    joblib.dump(model, job.paths.model / "model.joblib")
    job.put(
        "model/code/inference.py",
        "import joblib, os\n"
        "def model_fn(model_dir): return joblib.load(os.path.join(model_dir, 'model.joblib'))\n"
        "def predict_fn(data, model): return model.predict_proba(data)\n",
    )
    settings = {"CLARY_MAX_BATCH_SIZE": "8", "CLARY_MAX_BATCH_DELAY_MILLISECONDS": "200", "CLARY_FRAMEWORK": "sklearn"}
    parts = [features[start : start + size] for start, size in zip(range(0, 80, 10), range(1, 9), strict=True)]
    with serving(job, **settings) as server:
        answers = at_once(server, [json.dumps(part.tolist()) for part in parts])
        wrong = at_once(server, [json.dumps(part.tolist()) for part in parts[:3]] + ["[[1, 2]]"])
    for part, answer in zip(parts + parts[:3], answers + wrong[:3], strict=True):
        assert json.loads(answer[2]) == model.predict_proba(part).tolist()
    assert wrong[3][0] == 500
    assert b"features" in wrong[3][2]


def test_what_cannot_be_joined_is_refused_at_the_start(job: Job) -> None:
    job.put("model/code/inference.py", "def model_fn(d): return 1\ndef transform_fn(m, b, c, a): return b, a")
    job.paths.model.mkdir(exist_ok=True)
    for settings, message in [
        ({"CLARY_MAX_BATCH_SIZE": "2"}, "transform_fn takes each whole"),
        ({"CLARY_MAX_BATCH_SIZE": "2", "SAGEMAKER_MULTI_MODEL": "true"}, "does not go together"),
        ({"CLARY_MAX_BATCH_SIZE": "0"}, "CLARY_MAX_BATCH_SIZE is '0'"),
    ]:
        done = job.run("serve", SAGEMAKER_BIND_TO_PORT="0", **settings)
        assert (done.returncode, message in done.stderr.splitlines()[-1]) == (1, True)
