"""Jobs that really run: what comes out, where it lies, and what is left when something goes wrong."""

import gzip
import json
import os
import signal
import uuid

import numpy as np
import pytest
import xgboost

from clary.kernel.jobs.contract import Phase
from clary.systems.batch_transform.tests.conftest import BUCKET, World
from clary.testing import eventually

XGBOOST_IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:1.7-1"


def test_every_object_gets_an_output_at_its_place(world: World) -> None:
    world.put("layout/in/a.csv", b"1\n2\n")
    world.put("layout/in/sub/b.csv", b"3\n4")
    world.put("layout/in/sub/empty.csv", b"")
    world.create("layout", "layout/in/")
    world.completed("layout")
    assert world.keys("out/layout/") == [f"out/layout/{name}.csv.out" for name in ("a", "sub/b", "sub/empty")]
    assert world.get("out/layout/a.csv.out") == b"2.0\n4.0\n"
    assert world.get("out/layout/sub/b.csv.out") == b"6.0\n8.0\n"
    assert world.get("out/layout/sub/empty.csv.out") == b""
    job = world.describe("layout")
    assert job["CreationTime"] <= job["TransformStartTime"] <= job["TransformEndTime"]
    eventually(lambda: world.executor.hosts() == [] and world.slots() == [])


@pytest.mark.slow
def test_joined_and_filtered_output_equals_predictions_in_process(world: World) -> None:
    """XGBoost, row for row: the id is not shown to the model, and stands before its answer."""
    dice = np.random.default_rng(7)
    features = dice.normal(size=(3000, 5)).astype(np.float32)
    labels = features @ np.arange(5, dtype=np.float32)
    booster = xgboost.train({"max_depth": 4}, xgboost.DMatrix(features, labels), 20)
    world.model("xgb", XGBOOST_IMAGE, {"xgboost-model": bytes(booster.save_raw("ubj"))})
    lines = [f"id-{number}," + ",".join(map(repr, row)) for number, row in enumerate(features.tolist())]
    world.put("xgb/in/rows.csv", "\n".join(lines).encode() + b"\n")
    world.create(
        "xgb",
        "xgb/in/",
        ModelName="xgb",
        MaxPayloadInMB=1,
        MaxConcurrentTransforms=2,
        DataProcessing={"InputFilter": "$[1:]", "JoinSource": "Input", "OutputFilter": "$[0,-1]"},
    )
    world.completed("xgb")
    expected = [f"id-{number},{value!r}" for number, value in enumerate(booster.inplace_predict(features).tolist())]
    assert world.get("out/xgb/rows.csv.out").decode().splitlines() == expected


def test_instances_share_the_objects(world: World) -> None:
    for number in range(5):
        world.put(f"shared/in/{number}", f"{number}\n".encode())
    world.create("shared", "shared/in/", TransformResources={"InstanceCount": 2})
    world.completed("shared")
    assert [world.get(key) for key in world.keys("out/shared/")] == [f"{2.0 * n}\n".encode() for n in range(5)]
    said = world.streams("shared")
    assert len(said) == 2
    assert all(name.startswith("shared/i-") for name in said)
    assert sorted(lines[-1] for lines in said.values()) == [
        "transformed 2 of 2 objects",
        "transformed 3 of 3 objects",
    ]


def test_a_manifest_names_the_objects_and_gzip_is_unpacked(world: World) -> None:
    world.put("packed/data/x/1.csv.gz", gzip.compress(b"1\n") + gzip.compress(b"2\n"))
    world.put("packed/data/not-named.csv.gz", gzip.compress(b"3\n"))
    entries = [{"prefix": f"s3://{BUCKET}/packed/data/"}, "x/1.csv.gz"]
    uri = world.put("packed/manifest.json", json.dumps(entries).encode())
    source = {"S3DataSource": {"S3DataType": "ManifestFile", "S3Uri": uri}}
    world.create("packed", "", TransformInput={"DataSource": source, "CompressionType": "Gzip"})
    world.completed("packed")
    assert world.keys("out/packed/") == ["out/packed/x/1.csv.gz.out"]
    assert world.get("out/packed/x/1.csv.gz.out") == b"2.0\n4.0\n"


def test_a_bad_line_is_named_and_costs_only_its_object(world: World) -> None:
    good = "".join(f"{number}\n" for number in range(1000))
    world.put("bad/in/a.csv", good.encode())
    world.put("bad/in/b.csv", good.replace("\n700\n", "\nseven hundred\n").encode())
    world.put("bad/in/c.csv", good.encode())
    world.create("bad", "bad/in/")
    job = world.ended("bad")
    assert job["TransformJobStatus"] == "Failed"
    assert job["FailureReason"].startswith(
        f"AlgorithmError: s3://{BUCKET}/bad/in/b.csv, line 701: the model answered 500"
    )
    assert "seven hundred" in job["FailureReason"]
    assert world.keys("out/bad/") == ["out/bad/a.csv.out", "out/bad/c.csv.out"]


def test_a_pipeline_of_containers_answers_with_the_last(world: World) -> None:
    """Each container has a model, a script and an environment of its own, and is asked what the one before it said."""
    script = """
import os

def model_fn(folder):
    return os.environ["ADDED"], open(os.path.join(folder, "code", "name")).read()

def transform_fn(model, body, content_type, accept):
    added, name = model
    if "refuse" in body and name == "two":
        raise ValueError("not mine")
    return "".join(f"{line}+{added}@{name}:{content_type}\\n" for line in body.splitlines()), f"text/{name}"
"""
    for name in ("one", "two"):
        files = {"code/inference.py": script.encode(), "code/name": name.encode()}
        told = {"SAGEMAKER_PROGRAM": "inference.py", "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code"}
        world.model(name, "python:3.12", files, ADDED=name[0], **told)
    world.pipeline("chain", "one", "two")
    world.put("chain/in/a", b"x\ny\n")
    world.put("chain/in/b", b"x\nrefuse\n")
    world.create("chain", "chain/in/", ModelName="chain")
    job = world.ended("chain")
    assert world.get("out/chain/a.out") == b"x+o@one:text/csv+t@two:text/one\ny+o@one:text/csv+t@two:text/one\n"
    assert job["FailureReason"] == (
        f"AlgorithmError: s3://{BUCKET}/chain/in/b, line 2: container 2 (python:3.12) answered 500: "
        "ValueError: not mine"
    )


def test_captured_data_are_manifests_and_records_have_ids(world: World) -> None:
    for number in range(3):
        world.put(f"capture/in/sub/{number}.csv", f"{number}\n{number}5\n".encode())
    world.put("capture/in/bad.csv", b"bad\n")
    captured = f"s3://{BUCKET}/captured/"
    world.create(
        "capture",
        "capture/in/",
        TransformResources={"InstanceCount": 2},
        TransformOutput={"Accept": "text/csv"},
        DataCaptureConfig={"DestinationS3Uri": captured, "GenerateInferenceId": True},
    )
    job = world.ended("capture")
    assert job["TransformJobStatus"] == "Failed", "for the bad one; the others have their outputs"
    assert job["DataCaptureConfig"] == {"DestinationS3Uri": captured, "GenerateInferenceId": True, "KmsKeyId": ""}
    rows = [row.split(",") for key in world.keys("out/capture/") for row in world.get(key).decode().splitlines()]
    assert [row[0] for row in rows] == ["0.0", "10.0", "2.0", "30.0", "4.0", "50.0"]
    assert len({uuid.UUID(row[1]) for row in rows}) == 6
    [time] = {row[2] for row in rows}
    hour = time[:13].replace("-", "/").replace("T", "/")
    told = {}
    for kind in ("input", "output"):
        keys = world.keys(f"captured/{kind}/{hour}/capture-algo-")
        told[kind] = [json.loads(world.get(key)) for key in keys]
    names = sorted(manifest[0]["prefix"] + name for manifest in told["input"] for name in manifest[1:])
    assert names == [f"s3://{BUCKET}/capture/in/sub/{number}.csv" for number in range(3)]
    names = sorted(manifest[0]["prefix"] + name for manifest in told["output"] for name in manifest[1:])
    assert names == [f"s3://{BUCKET}/out/capture/sub/{number}.csv.out" for number in range(3)]


def test_missing_data_fails_the_job(world: World) -> None:
    world.create("missing", "nothing/here/")
    job = world.ended("missing")
    assert job["TransformJobStatus"] == "Failed"
    assert job["FailureReason"].startswith("ClientError: ")
    assert "nothing/here/" in job["FailureReason"]


def test_a_model_that_does_not_load_fails_the_job(world: World) -> None:
    world.script_model("broken", "def model_fn(folder):\n    raise RuntimeError('no weights')\n")
    world.put("broken/in/a", b"1\n")
    world.create("broken", "broken/in/", ModelName="broken")
    job = world.ended("broken")
    assert job["FailureReason"].startswith("AlgorithmError: the model server ended with exit code 1")
    assert any("no weights" in line for lines in world.streams("broken").values() for line in lines)


def test_a_stopped_job_keeps_what_is_done(world: World) -> None:
    world.put("stop/in/a", b"1\n")
    world.put("stop/in/b", b"hang\n")
    world.create("stop", "stop/in/")
    eventually(lambda: world.keys("out/stop/") == ["out/stop/a.out"])
    world.call("StopTransformJob", TransformJobName="stop")
    assert world.ended("stop")["TransformJobStatus"] == "Stopped"
    assert world.keys("out/stop/") == ["out/stop/a.out"]
    eventually(lambda: world.executor.hosts() == [])


def test_a_lost_host_resumes_where_it_was(world: World) -> None:
    """kill -9 of one of two shims: what is stored is not done again, what was under way is, and nothing half shows."""
    for place, rows in {"a": b"p,1\n", "b": b"q,2\n", "c": b"r,3\ns,hang\n", "d": b"t,4\nu,hang\n"}.items():
        world.put(f"lost/in/{place}", rows)
    world.create(
        "lost",
        "lost/in/",
        BatchStrategy="SingleRecord",
        TransformResources={"InstanceCount": 2},
        DataProcessing={"InputFilter": "$[1]", "JoinSource": "Input", "OutputFilter": "$[0,2]"},
        DataCaptureConfig={"DestinationS3Uri": f"s3://{BUCKET}/out/lost-captured"},
    )
    hosts = world.executor.hosts

    def stored(place: tuple[str, str]) -> bool:
        return bool((seen := world.observed(place)) and seen.outputs)

    eventually(lambda: len(hosts()) == 2 and all(map(stored, hosts())))
    assert world.keys("out/lost/") == ["out/lost/a.out", "out/lost/b.out"]
    for place, rows in {"a": b"p,100\n", "b": b"q,100\n", "c": b"r,3\ns,5\n", "d": b"t,4\nu,6\n"}.items():
        world.put(f"lost/in/{place}", rows)
    attempt, host = hosts()[0]
    os.kill(int((world.platform.settings.home / "jobs" / attempt / host / "lock").read_text()), signal.SIGKILL)
    world.completed("lost")
    assert {key[-5]: world.get(key) for key in world.keys("out/lost/")} == {
        "a": b"p,2.0\n",  # done before, so left as it was
        "b": b"q,4.0\n",
        "c": b"r,6.0\ns,10.0\n",
        "d": b"t,8.0\nu,12.0\n",
    }
    manifests = [json.loads(world.get(key)) for key in world.keys("out/lost-captured/output/")]
    assert sorted(name for manifest in manifests for name in manifest[1:]) == ["a.out", "b.out", "c.out", "d.out"]


def test_jobs_wait_for_the_machine_and_a_waiting_one_can_be_stopped(world: World) -> None:
    world.put("queue/in/a", b"hang\n")
    large = {"InstanceType": "ml.m5.xlarge"}
    world.create("queue-1", "queue/in/", TransformResources=large)
    eventually(lambda: [one.phase for one in map(world.observed, world.executor.hosts()) if one] == [Phase.RUNNING])
    world.put("queue/in/a", b"1\n")  # it has its own by now
    world.create("queue-2", "queue/in/", TransformResources=large)
    world.create("queue-3", "queue/in/", TransformResources=large)
    eventually(lambda: len(world.slots()) == 2)
    world.call("StopTransformJob", TransformJobName="queue-3")
    assert world.ended("queue-3")["TransformJobStatus"] == "Stopped"
    assert world.describe("queue-2")["TransformJobStatus"] == "InProgress"
    world.call("StopTransformJob", TransformJobName="queue-1")
    world.completed("queue-2")
