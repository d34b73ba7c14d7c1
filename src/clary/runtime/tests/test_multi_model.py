"""Several models behind one server, asked in SageMaker's multi-model contract over real sockets."""

import contextlib
import json
import os
import threading
from contextlib import AbstractContextManager
from pathlib import Path
from urllib.parse import quote

import numpy as np
import psutil
import pytest
import xgboost

from clary.runtime.tests.conftest import BACKEND, PROJECT, Job
from clary.runtime.tests.servers import Answer, Server, gate, serving, wait_until

Rows = tuple[np.ndarray, np.ndarray]

SCRIPT = """
import os
import helper

def model_fn(model_dir):
    with open(os.path.join(model_dir, "name")) as file:
        name = file.read()
    if name == "unfit":
        raise ValueError("unfit")
    if name == "large":
        return bytearray(os.urandom(1 << 20)) * 400
    return name

def transform_fn(model, body, content_type, accept):
    if body == "pid":
        return str(os.getpid()), "text/plain"
    if body == "crash":
        os.abort()
    if body == "leave":
        raise SystemExit(3)
    if body.startswith("/"):
        with open(body) as file:
            return file.read(), "text/plain"
    if body == "leak":
        globals()["kept"] = bytearray(os.urandom(1 << 20)) * 400
    return helper.say(model, body), "text/plain"
"""


def put_script(job: Job, name: str, greeting: str = "hello") -> str:
    """A model of the script, with a module of its own that has the same name in every model; its directory."""
    job.put(f"models/{name}/model/name", name)
    job.put(f"models/{name}/model/code/inference.py", SCRIPT)
    job.put(f"models/{name}/model/code/helper.py", f"def say(*words): return ' '.join(({greeting!r}, *words))")
    return str(job.root / "models" / name / "model")


def load(server: Server, name: str, url: str) -> Answer:
    return server.ask("POST", "/models", json.dumps({"model_name": name, "url": url}), content_type="application/json")


def invoke(server: Server, name: str, body: bytes | str, content_type: str = "text/plain") -> Answer:
    return server.ask("POST", f"/models/{quote(name, safe='')}/invoke", body, content_type=content_type)


def many(job: Job, **environment: str) -> AbstractContextManager[Server]:
    return serving(job, **{"SAGEMAKER_MULTI_MODEL": "true", "SAGEMAKER_PROGRAM": "inference.py"} | environment)


def test_the_documented_contract(job: Job) -> None:
    one, two = put_script(job, "one"), put_script(job, "two", "good day")
    with many(job) as server:
        assert server.ask("GET", "/ping")[0] == 200
        assert json.loads(server.ask("GET", "/models")[2]) == {"models": []}
        assert invoke(server, "a/one", "x")[0] == 404
        assert load(server, "a/one", one)[0] == 200
        assert load(server, "a/one", one)[0] == 409
        assert load(server, "two.tar.gz", two)[0] == 200

        assert invoke(server, "a/one", "x") == (200, "text/plain", b"hello one x")
        assert invoke(server, "two.tar.gz", "y") == (200, "text/plain", b"good day two y")
        assert json.loads(server.ask("GET", "/models/a%2Fone")[2]) == {"modelName": "a/one", "modelUrl": one}
        assert [model["modelName"] for model in json.loads(server.ask("GET", "/models")[2])["models"]] == [
            "a/one", "two.tar.gz",
        ]  # fmt: skip

        process = int(invoke(server, "a/one", "pid")[2])
        assert server.ask("DELETE", "/models/a%2Fone")[0] == 200
        assert not psutil.pid_exists(process)
        for answer in (
            server.ask("DELETE", "/models/a%2Fone"),
            server.ask("GET", "/models/a%2Fone"),
            invoke(server, "a/one", "x"),
        ):
            assert (answer[0], json.loads(answer[2])["message"]) == (404, "model 'a/one' is not loaded")
        assert load(server, "a/one", one)[0] == 200
        assert invoke(server, "a/one", "x")[2] == b"hello one x"
    assert server.process.returncode == 0


def test_what_cannot_be_loaded_says_why_and_leaves_nothing(job: Job) -> None:
    job.put("models/empty/model/readme", "")
    unfit = put_script(job, "unfit")
    with many(job) as server:
        for name, url, status, message in [
            ("unfit", unfit, 500, "ValueError: unfit"),
            ("none", "/nothing/here", 400, "url is '/nothing/here', which is no directory"),
            ("empty", str(job.root / "models/empty/model"), 400, "SAGEMAKER_PROGRAM is 'inference.py'"),
        ]:
            answer = load(server, name, url)
            assert (answer[0], message in json.loads(answer[2])["message"]) == (status, True), answer
        for wrong in ("", "[]", '{"model_name": "x"}', '{"model_name": 1, "url": "/"}'):
            assert server.ask("POST", "/models", wrong)[0] == 400
        assert json.loads(server.ask("GET", "/models")[2]) == {"models": []}
        wait_until(lambda: len(psutil.Process(server.process.pid).children(recursive=True)) == 1)


@pytest.mark.slow
def test_pages_of_models(job: Job) -> None:
    directory = put_script(job, "one")
    names = [f"m{number:03}" for number in range(103)]
    with many(job) as server:
        for name in names:
            assert load(server, name, directory)[0] == 200
        first = json.loads(server.ask("GET", "/models")[2])
        second = json.loads(server.ask("GET", f"/models?next_page_token={quote(first['nextPageToken'])}")[2])
        assert [model["modelName"] for model in first["models"] + second["models"]] == names
        assert "nextPageToken" not in second


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_model_that_crashes_or_hangs_harms_no_other(job: Job, workers: str) -> None:
    bad, good = put_script(job, "bad"), put_script(job, "good")
    opened = gate(job.root / "gate")
    with many(job, SAGEMAKER_MODEL_SERVER_TIMEOUT="2", SAGEMAKER_MODEL_SERVER_WORKERS=workers) as server:
        for name, url in (("bad", bad), ("good", good)):
            assert load(server, name, url)[0] == 200
        survivor = invoke(server, "good", "pid")
        assert invoke(server, "bad", "leave")[::2] == (500, b"RuntimeError: the script ended with SystemExit(3)")
        assert invoke(server, "bad", "x")[0] == 200

        assert invoke(server, "bad", "crash")[::2] == (500, b"the model's process ended by SIGABRT")
        assert invoke(server, "bad", "x")[0] == 404
        assert load(server, "bad", bad)[0] == 200

        assert invoke(server, "bad", str(opened))[::2] == (504, b"the model did not answer within 2 s")
        wait_until(lambda: invoke(server, "bad", "x")[0] == 404)
        assert load(server, "bad", bad)[0] == 200
        assert invoke(server, "bad", "x")[0] == 200

        os.kill(int(invoke(server, "bad", "pid")[2]), 9)
        wait_until(lambda: invoke(server, "bad", "x")[0] == 404)
        if workers == "1":
            assert invoke(server, "good", "pid") == survivor


def test_calls_wait_their_turn_and_an_unload_lets_them_finish(job: Job) -> None:
    directory = put_script(job, "one")
    opened = gate(job.root / "gate")
    answers: list[Answer] = []
    unloaded: list[Answer] = []
    with many(job) as server:
        assert load(server, "one", directory)[0] == 200
        calls = [
            threading.Thread(target=lambda body=body: answers.append(invoke(server, "one", body)))
            for body in (str(opened), "second")
        ]
        for call in calls:
            call.start()
        with opened.open("w") as file:  # opens once the first call reads
            unload = threading.Thread(target=lambda: unloaded.append(server.ask("DELETE", "/models/one")))
            unload.start()
            wait_until(lambda: server.ask("GET", "/models/one")[0] == 404)
            file.write("first")
        for thread in (*calls, unload):
            thread.join(60)
    assert [answer[0] for answer in (*answers, *unloaded)] == [200, 200, 200]
    assert {answer[2] for answer in answers} == {b"first", b"hello one second"}


def test_memory_is_kept_to(job: Job) -> None:
    small, large = put_script(job, "small"), put_script(job, "large")
    with many(job, SM_MEMORY_BYTES=str(300 << 20)) as server:
        assert load(server, "small", small)[0] == 200
        answer = load(server, "large", large)
        assert (answer[0], "there is no memory" in json.loads(answer[2])["message"]) == (507, True)
        assert server.ask("GET", "/models/large")[0] == 404
        wait_until(lambda: len(psutil.Process(server.process.pid).children(recursive=True)) == 2)
        assert load(server, "other", put_script(job, "other"))[0] == 200

        # The leak may be noticed while the call is still under way.
        leaky = invoke(server, "small", "leak")
        assert leaky[0] == 200 or (leaky[0] == 500 and b"SM_MEMORY_BYTES" in leaky[2])
        wait_until(lambda: invoke(server, "small", "x")[0] == 404)
        assert invoke(server, "other", "x")[0] == 200
        assert load(server, "small", small)[0] == 200
    with many(job, SM_MEMORY_BYTES=str(1 << 20)) as server:
        assert load(server, "small", small)[0] == 507


STREAM = """
def model_fn(model_dir):
    return model_dir

def transform_fn(model, body, content_type, accept):
    def pieces():
        try:
            yield "first,"
            with open(body) as gate:
                for line in gate:
                    if line == "break\\n":
                        raise ValueError("broken")
                    yield line
            while not line:
                yield "more"
        finally:
            with open(body + ".closed", "w") as file:
                file.write("closed")
    return pieces(), "text/csv"
"""


def test_models_stream_and_stop_when_the_caller_leaves(job: Job) -> None:
    job.put("models/s/model/code/inference.py", STREAM)
    opened = gate(job.root / "gate")
    closed = Path(f"{opened}.closed")
    with many(job) as server:
        assert load(server, "s", str(job.root / "models/s/model"))[0] == 200
        for end in ("whole", "broken", "left"):
            connection = server.connection()
            connection.request("POST", "/models/s/invoke", str(opened), {"content-type": "text/plain"})
            response = connection.getresponse()
            assert response.read1() == b"first,"
            # The model may close its end as soon as it is told that the caller has left.
            with contextlib.suppress(BrokenPipeError), opened.open("w", buffering=1) as file:
                file.write("one\n")
                assert response.read1() == b"one\n"
                if end == "left":
                    connection.close()
                    response.close()
                    for _ in range(20):
                        file.write("more\n")
                elif end == "broken":
                    file.write("break\n")
                    with pytest.raises(Exception, match=r"IncompleteRead|reset|closed"):
                        response.read()
            if end == "whole":
                assert response.read() == b""
            wait_until(closed.exists)
            closed.unlink()
            connection.close()


def test_built_in_models_and_frameworks_have_many_too(job: Job, rows: Rows) -> None:
    labels, features = rows
    boosters = {
        f"b{depth}": xgboost.train({"max_depth": depth, "nthread": 1}, xgboost.DMatrix(features, labels), 5)
        for depth in (2, 3)
    }
    for name, booster in boosters.items():
        job.put(f"models/{name}/model/xgboost-model", bytes(booster.save_raw("ubj")))
    row = ",".join(f"{value:.9g}" for value in features[0])
    algorithm = {"CLARY_ALGORITHM": "xgboost", "SAGEMAKER_PROGRAM": ""}
    # In the layout that AWS documents, whatever directory stands for /opt/ml here.
    with many(job, **algorithm) as server:
        for name in boosters:
            assert load(server, name, f"/opt/ml/models/{name}/model")[0] == 200
        for name, booster in boosters.items():
            expected = booster.predict(xgboost.DMatrix(features[:1]))[0]
            assert invoke(server, name, row, "text/csv")[2] == b"%r\n" % float(expected)
        assert invoke(server, "b2", "1,2", "text/csv")[0] == 400


@pytest.mark.slow
def test_a_model_whose_requirements_need_a_fresh_interpreter_gets_one(job: Job) -> None:
    """The nursery has loaded joblib, with scikit-learn; one of the models brings another of that name."""
    own, usual = put_script(job, "own"), put_script(job, "usual")
    job.put("models/own/model/code/requirements.txt", "./package\n")
    job.put("models/own/model/code/package/pyproject.toml", PROJECT.replace("shapes", "joblib"))
    job.put("models/own/model/code/package/backend.py", BACKEND.replace("shapes", "joblib").replace("REQUIRES", ""))
    job.put("models/own/model/code/helper.py", "import joblib\ndef say(*words): return str(joblib.SIDES)")
    job.put("models/usual/model/code/helper.py", "import joblib\ndef say(*words): return str(callable(joblib.load))")
    with many(job, CLARY_FRAMEWORK="sklearn") as server:
        for name, url in (("own", own), ("usual", usual)):
            assert load(server, name, url)[0] == 200
        assert invoke(server, "own", "x")[2] == b"4"
        assert invoke(server, "usual", "x")[2] == b"True"
