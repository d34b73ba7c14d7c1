"""`transform` as the platform starts it: real models, the built-in one in process and scripts behind a server."""

import contextlib
import json
import os
import socket
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xgboost

from clary.runtime.formats.recordio import frame
from clary.runtime.tests.conftest import Job
from clary.runtime.transform import models

ECHO = """
import json, os, sys, threading
seen = []

def model_fn(folder):
    return None

def transform_fn(model, body, content_type, accept):
    text = body if isinstance(body, str) else body.decode("latin-1")
    seen.append(text)
    if text == "late":
        threading.Event().wait(30)
    if text == "twice" and seen.count("twice") < 2:
        raise ValueError("not yet")
    if text == "die":
        os._exit(9)
    return json.dumps([len(text), text[:10], content_type]), "application/json"
"""

SERVE = ["python", "-m", "clary.runtime", "serve"]


def prepare(job: Job, objects: dict[str, bytes], script: str = ECHO, **settings: Any) -> None:
    for place, data in objects.items():
        job.put(f"input/data/transform/{place}", data)
    listing = {place: f"s3://bucket/in/{place}" for place in objects}
    plan = {
        "containers": [{"serve": SERVE}], "capture": None,
        "content_type": "text/plain", "accept": "", "split": "Line", "strategy": None,
        "max_payload_mb": None, "concurrency": 0, "assemble_lines": True, "gzip": False, "input_filter": "$",
        "output_filter": "$", "join": False, "timeout_seconds": 120, "retries": 0, "done": [],
    }  # fmt: skip
    job.put("input/config/objects.json", json.dumps(listing))
    job.put("input/config/transform.json", json.dumps(plan | settings))
    if script:
        job.put("model/code/inference.py", script)
        job.environment["SAGEMAKER_PROGRAM"] = "inference.py"


def transform(job: Job) -> tuple[int, str]:
    """The exit code and the failure file."""
    done = job.run("transform", SAGEMAKER_BATCH="true")
    return done.returncode, job.failure if done.returncode else ""


def output(job: Job, place: str) -> bytes:
    return (job.root / f"output/transform/{place}.out").read_bytes()


def test_single_records_are_sent_one_by_one(job: Job) -> None:
    prepare(job, {"a.txt": b"one\n\nthree\r\nfour"}, strategy="SingleRecord", concurrency=3)
    assert transform(job) == (0, "")
    assert [json.loads(line)[0] for line in output(job, "a.txt").splitlines()] == [3, 6, 4]


def test_nothing_splits_an_object_and_chunks_have_no_limit(job: Job) -> None:
    data = b"x" * (7 << 20)
    prepare(job, {"a": data}, split="None", max_payload_mb=0, assemble_lines=False)
    assert transform(job) == (0, "")
    assert output(job, "a") == json.dumps([len(data), "x" * 10, "text/plain"]).encode()


def test_an_object_larger_than_a_payload_is_refused_by_name(job: Job) -> None:
    prepare(job, {"a": b"x" * (6 * 1024 * 1024 + 1), "b": b"y"}, split="None")
    code, said = transform(job)
    assert code == 1
    assert said.startswith("ClientError: s3://bucket/in/a: the object has 6291457 bytes, more than MaxPayloadInMB")
    assert output(job, "b")


@pytest.mark.parametrize(("strategy", "lengths"), [("MultiRecord", [36]), ("SingleRecord", [3, 3, 3])])
def test_records_are_sent_in_their_frames_unless_alone(job: Job, strategy: str, lengths: list[int]) -> None:
    prepare(job, {"a": frame(b"abc") * 3}, split="RecordIO", strategy=strategy, content_type="application/x-any")
    assert transform(job) == (0, "")
    assert [json.loads(line)[0] for line in output(job, "a").splitlines()] == lengths


def test_a_failing_model_is_asked_again(job: Job) -> None:
    prepare(job, {"a": b"twice"}, retries=1)
    assert transform(job) == (0, "")


def test_a_model_that_does_not_answer_in_time_fails_the_object(job: Job) -> None:
    prepare(job, {"a": b"late"}, timeout_seconds=1)
    assert transform(job) == (
        1,
        "AlgorithmError: s3://bucket/in/a, line 1: the model did not answer within 1 s",
    )
    assert not (job.root / "output/transform/a.out").exists()


def test_a_model_server_that_dies_ends_the_job(job: Job) -> None:
    prepare(job, {"a": b"die", "b": b"fine"})
    code, said = transform(job)
    assert code == 1
    assert said.startswith("AlgorithmError: the model server ended with exit code 9")


def test_damaged_gzip_is_named(job: Job) -> None:
    prepare(job, {"a.gz": b"no gzip"}, gzip=True)
    code, said = transform(job)
    assert (code, said.startswith("ClientError: s3://bucket/in/a.gz: ")) == (1, True)


def test_objects_that_are_done_are_left_out(job: Job) -> None:
    prepare(job, {"a": b"1", "b": b"2"}, done=["a"])
    assert transform(job) == (0, "")
    assert not (job.root / "output/transform/a.out").exists()
    assert output(job, "b")


WHERE = """
import json, os

def model_fn(folder):
    return [os.path.relpath(path, os.environ["ROOT"]) for path in (folder, os.environ["WEIGHTS"], os.environ["OTHER"])]

def transform_fn(model, body, content_type, accept):
    return json.dumps([*model, content_type, accept, body]), f"{content_type}+"
"""


def test_containers_have_folders_and_words_of_their_own(job: Job, tmp_path: Path) -> None:
    """Also where the temporary folder has a name too long for a socket's path."""
    job.environment["TMPDIR"] = str(tmp_path / ("long" * 30))
    Path(job.environment["TMPDIR"]).mkdir()
    told = {
        "SAGEMAKER_PROGRAM": "inference.py", "ROOT": f"{job.root}-", "WEIGHTS": f"{job.root}/model/weights",
        "OTHER": f"/other{job.root}/model",
    }  # fmt: skip
    containers = []
    for number in (1, 2):
        folder = f"containers/{number}"
        job.put(f"{folder}/model/code/inference.py", WHERE)
        containers.append({"serve": SERVE, "label": f"container {number}", "folder": folder, "environment": told})
    prepare(job, {"a": b"x"}, "", containers=containers, accept="text/last")
    assert transform(job) == (0, "")
    root = f"{os.path.relpath(job.root, told['ROOT'])}/containers"
    other = os.path.relpath(told["OTHER"], told["ROOT"])
    first = [f"{root}/1/model", f"{root}/1/model/weights", other, "text/plain", "application/json", "x"]
    second = [f"{root}/2/model", f"{root}/2/model/weights", other, "text/plain+", "text/last", json.dumps(first)]
    assert json.loads(output(job, "a")) == second


def test_nothing_to_do_is_no_failure(job: Job) -> None:
    prepare(job, {})
    assert transform(job) == (0, "")


def test_the_built_in_model_scores_in_process(job: Job) -> None:
    features = np.random.default_rng(3).normal(size=(500, 4)).astype(np.float32)
    booster = xgboost.train({"max_depth": 3}, xgboost.DMatrix(features, features[:, 0]), 10)
    job.put("model/xgboost-model", bytes(booster.save_raw("ubj")))
    job.environment["CLARY_ALGORITHM"] = "xgboost"
    rows = "\n".join(",".join(map(repr, row)) for row in features.tolist())
    prepare(job, {"a.csv": rows.encode(), "bad.csv": rows.replace("\n", "\nx,1,2,3\n", 1).encode()}, "",
            content_type="text/csv")  # fmt: skip
    code, said = transform(job)
    assert code == 1
    assert said.startswith("ClientError: s3://bucket/in/bad.csv, line 2: the model answered 400: ")
    expected = "".join(f"{value!r}\n" for value in booster.inplace_predict(features).tolist())
    assert output(job, "a.csv") == expected.encode()
    prepare(job, {"a.csv": rows.encode()}, "", content_type="text/csv", strategy="SingleRecord")
    assert transform(job) == (0, "")
    assert output(job, "a.csv") == expected.encode()


def test_who_finds_the_servers_queue_full_waits_for_a_place(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener, contextlib.ExitStack() as callers:
        listener.bind(str(tmp_path / "s"))
        listener.listen(0)
        waiting = 0
        with contextlib.suppress(BlockingIOError):
            while True:
                caller = callers.enter_context(socket.socket(socket.AF_UNIX))
                caller.setblocking(False)
                caller.connect(str(tmp_path / "s"))
                waiting += 1
        connection = models._Connection(tmp_path / "s", 60.0)
        connecting = threading.Thread(target=connection.connect)
        connecting.start()
        connecting.join(0.2)
        assert connecting.is_alive()
        for _ in range(waiting):
            listener.accept()[0].close()
        with listener.accept()[0] as taken:
            connecting.join()
            connection.sock.sendall(b"hello")
            assert taken.recv(5) == b"hello"
        connection.close()
