"""Jobs that really run: data in, a process, a model out; and everything that goes wrong on the way."""

import io
import json
import socket
import tarfile

import pytest

from clary.systems.training.tests.conftest import BUCKET, World, channel
from clary.testing import eventually


def members(archive: bytes) -> dict[str, str]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return {
            item.name.removeprefix("./"): (tar.extractfile(item) or io.BytesIO()).read().decode()
            for item in tar.getmembers()
            if item.isfile()
        }


def test_a_job_gets_its_data_and_its_model_comes_back(world: World) -> None:
    uri = world.put("data/rows.csv", b"1,2\n3,4\n")
    world.create(
        "simple",
        "cp /opt/ml/input/data/train/rows.csv /opt/ml/model/; echo more > /opt/ml/output/data/notes; echo acc=0.75",
        InputDataConfig=[channel("train", uri)],
        AlgorithmSpecification={
            "TrainingImage": "python:3.12",
            "TrainingInputMode": "File",
            "MetricDefinitions": [{"Name": "acc", "Regex": "acc=([0-9.]+)"}],
        },
    )
    job = world.ended("simple")
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    assert [one["Status"] for one in job["SecondaryStatusTransitions"]] == [
        "Starting",
        "Downloading",
        "Training",
        "Uploading",
        "Completed",
    ]
    assert job["ModelArtifacts"]["S3ModelArtifacts"] == f"s3://{BUCKET}/out/simple/output/model.tar.gz"
    assert members(world.get("out/simple/output/model.tar.gz")) == {"rows.csv": "1,2\n3,4\n"}
    assert members(world.get("out/simple/output/output.tar.gz")) == {"notes": "more\n"}
    [metric] = job["FinalMetricDataList"]
    assert (metric["MetricName"], metric["Value"]) == ("acc", 0.75)
    assert world.lines("simple") == ["acc=0.75"]
    assert job["TrainingStartTime"] <= job["TrainingEndTime"]
    assert 1 <= job["BillableTimeInSeconds"] <= job["TrainingTimeInSeconds"] + 1


def test_what_the_job_finds_around_it(world: World) -> None:
    world.create(
        "around",
        "cat /opt/ml/input/config/hyperparameters.json /opt/ml/input/config/resourceconfig.json;"
        "echo; env; python -c 'import sys; print(sys.version)'",
        HyperParameters={"eta": "0.1"},
        Environment={"MINE": "yes"},
    )
    job = world.ended("around")
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    text = "\n".join(world.lines("around"))
    assert '{"eta": "0.1"}' in text
    assert '"current_host": "algo-1"' in text
    for expected in ("MINE=yes", "TRAINING_JOB_NAME=around", "AWS_REGION=us-east-1", "AWS_SESSION_TOKEN="):
        assert expected in text


def test_a_failure_says_what_the_process_left_and_its_exit_code(world: World) -> None:
    world.create("failing", "echo 'ValueError: no' > /opt/ml/output/failure; echo x > /opt/ml/model/m; exit 3")
    job = world.ended("failing")
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Failed", "Failed")
    assert job["FailureReason"] == "AlgorithmError: ValueError: no, exit code: 3"
    assert "ModelArtifacts" not in job
    assert world.keys("out/failing/output/model") == []


def test_missing_data_is_the_clients_error(world: World) -> None:
    world.create("missing", "true", InputDataConfig=[channel("train", f"s3://{BUCKET}/nothing/here")])
    job = world.ended("missing")
    assert job["TrainingJobStatus"] == "Failed"
    assert job["FailureReason"].startswith("ClientError: ")
    assert f"s3://{BUCKET}/nothing/here" in job["FailureReason"]
    assert "Training" not in [one["Status"] for one in job["SecondaryStatusTransitions"]]


def test_an_unknown_image_fails_the_job_and_names_it(world: World) -> None:
    algorithm = {"TrainingImage": "1.dkr.ecr.us-east-1.amazonaws.com/nobody-knows:1", "TrainingInputMode": "File"}
    world.create("unknown-image", AlgorithmSpecification=algorithm)
    job = world.ended("unknown-image")
    assert job["TrainingJobStatus"] == "Failed"
    assert job["FailureReason"].startswith("ClientError: Cannot find repository: nobody-knows")


def test_stopping_lets_the_process_save_its_work(world: World) -> None:
    world.create(
        "stopped",
        "trap 'echo saved > /opt/ml/model/m; exit 0' TERM; echo ready; while true; do read -t 1 <> <(:) || :; done",
    )
    eventually(lambda: world.lines("stopped") == ["ready"])
    world.call("StopTrainingJob", TrainingJobName="stopped")
    assert world.describe("stopped")["TrainingJobStatus"] in {"Stopping", "Stopped"}
    job = world.ended("stopped")
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "Stopped")
    assert [one["Status"] for one in job["SecondaryStatusTransitions"]][-2:] == ["Stopping", "Stopped"]
    assert members(world.get("out/stopped/output/model.tar.gz")) == {"m": "saved\n"}


def test_time_up_stops_the_job_and_keeps_its_model(world: World) -> None:
    world.create(
        "slow",
        "echo partial > /opt/ml/model/m; while true; do read -t 1 <> <(:) || :; done",
        StoppingCondition={"MaxRuntimeInSeconds": 1},
    )
    job = world.ended("slow")
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")
    assert members(world.get("out/slow/output/model.tar.gz")) == {"m": "partial\n"}


def test_two_hosts_find_each_other_and_share_the_data(world: World) -> None:
    for number in range(4):
        world.put(f"shards/{number}", str(number).encode())
    script = """
        ls /opt/ml/input/data/train | tr '\\n' ' ' > /opt/ml/model/$HOSTNAME
        grep -c algo- /etc/hosts
        python - <<'END'
import json, socket
config = json.load(open("/opt/ml/input/config/resourceconfig.json"))
leader = config["hosts"][0]
if config["current_host"] == leader:
    with socket.create_server((socket.gethostbyname(leader), 7777)) as server:
        server.settimeout(30)
        print("heard", server.accept()[0].recv(100).decode())
else:
    for _ in range(300):
        try:
            with socket.create_connection((leader, 7777), 1) as peer:
                peer.sendall(config["current_host"].encode())
            break
        except OSError:
            import select
            select.select([], [], [], 0.1)
END
    """
    world.create(
        "two-hosts",
        script,
        ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 2, "VolumeSizeInGB": 1},
        InputDataConfig=[
            channel("train", f"s3://{BUCKET}/shards/", source={"S3DataDistributionType": "ShardedByS3Key"})
        ],
    )
    job = world.ended("two-hosts")
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    assert "heard algo-2" in world.lines("two-hosts")
    first = members(world.get("out/two-hosts/output/model.tar.gz"))
    second = members(world.get("out/two-hosts/output/model-algo-2.tar.gz"))
    assert first.keys() == {"algo-1"}
    assert second.keys() == {"algo-2"}
    assert sorted((first["algo-1"] + second["algo-2"]).split()) == ["0", "1", "2", "3"]


def test_one_failing_host_ends_the_gang(world: World) -> None:
    world.create(
        "gang",
        'if [ "$HOSTNAME" = algo-2 ]; then echo broken > /opt/ml/output/failure; exit 1; fi;'
        "while true; do read -t 1 <> <(:) || :; done",
        ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 2, "VolumeSizeInGB": 1},
    )
    job = world.ended("gang")
    assert job["FailureReason"] == "AlgorithmError: broken, exit code: 1"
    eventually(lambda: world.executor.hosts() == [])


def test_jobs_wait_for_each_other_and_start_in_order(world: World) -> None:
    """Of four CPUs the first has two; the second waits for all four; the third would fit, and does not overtake."""
    one, two = ({"InstanceType": "ml.t3.medium", "InstanceCount": count, "VolumeSizeInGB": 1} for count in (1, 2))
    world.create("queue-0", "echo up; read -t 0.5 <> <(:) || :", ResourceConfig=one)
    eventually(lambda: world.lines("queue-0") == ["up"])
    world.create("queue-1", "true", ResourceConfig=two)
    eventually(lambda: world.describe("queue-1")["SecondaryStatus"] == "Pending")
    world.create("queue-2", "true", ResourceConfig=one)
    jobs = [world.ended(f"queue-{number}") for number in range(3)]
    assert [job["TrainingJobStatus"] for job in jobs] == ["Completed"] * 3
    for job in jobs[1:]:
        statuses = [one["Status"] for one in job["SecondaryStatusTransitions"]]
        assert statuses[:4] == ["Starting", "Pending", "Starting", "Downloading"]
    starts = [job["TrainingStartTime"] for job in jobs]
    assert starts == sorted(starts)
    eventually(lambda: world.slots() == [])


def test_checkpoints_are_saved_and_found_again(world: World) -> None:
    script = "cat /opt/ml/checkpoints/* 2>/dev/null || echo none; echo second >> /opt/ml/checkpoints/state"
    config = {"S3Uri": f"s3://{BUCKET}/checkpoints"}
    for name, expected in (("check-1", ["none"]), ("check-2", ["second"])):
        world.create(name, script, CheckpointConfig=config)
        assert world.ended(name)["TrainingJobStatus"] == "Completed"
        assert world.lines(name) == expected
    assert world.get("checkpoints/state") == b"second\nsecond\n"


def test_piped_data_streams_through_a_fifo(world: World) -> None:
    world.put("pipe/a", b"one\n")
    world.put("pipe/b", b"two\n")
    world.create(
        "piped",
        "cat /opt/ml/input/data/train_0; head -c 3 /opt/ml/input/data/train_1",
        InputDataConfig=[channel("train", f"s3://{BUCKET}/pipe/", InputMode="Pipe")],
    )
    job = world.ended("piped")
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    assert world.lines("piped") == ["one", "two", "one"]


def test_a_manifest_names_the_objects(world: World) -> None:
    world.put("listed/a", b"A")
    world.put("listed/b", b"B")
    uri = world.put("manifests/some", json.dumps([{"prefix": f"s3://{BUCKET}/listed/"}, "b"]).encode())
    world.create(
        "manifest", "ls /opt/ml/input/data/train",
        InputDataConfig=[channel("train", uri, source={"S3DataType": "ManifestFile"})],
    )  # fmt: skip
    assert world.ended("manifest")["TrainingJobStatus"] == "Completed"
    assert world.lines("manifest") == ["b"]


def test_a_command_that_an_sdk_makes_up_runs_its_own_drivers(world: World) -> None:
    """As the SDK v3's ModelTrainer sends it: a driver script in a channel that bash makes executable and runs."""
    world.put("v3/code/train.py", b"print('trained')\n")
    world.put("v3/drivers/sm_train.sh", b"#!/bin/bash\ncd /opt/ml/input/data/code && touch seen && python3 train.py\n")
    driver = "/opt/ml/input/data/sm_drivers/sm_train.sh"
    world.create(
        "v3",
        AlgorithmSpecification={
            "TrainingImage": "763104351884.dkr.ecr.us-east-1.amazonaws.com/sagemaker-base-python-310:1.0",
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["/bin/bash"],
            "ContainerArguments": ["-c", f"chmod +x {driver} && {driver}"],
        },
        InputDataConfig=[
            channel("code", f"s3://{BUCKET}/v3/code/"),
            channel("sm_drivers", f"s3://{BUCKET}/v3/drivers/"),
        ],
    )
    job = world.ended("v3")
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    assert world.lines("v3") == ["trained"]
    assert world.keys("v3/") == ["v3/code/train.py", "v3/drivers/sm_train.sh"]


@pytest.mark.parametrize("isolated", [False, True])
def test_an_isolated_job_reaches_nothing(world: World, isolated: bool) -> None:
    name = f"isolated-{isolated}"
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        world.create(
            name,
            f"if (: > /dev/tcp/127.0.0.1/{port}); then echo reached; else echo nothing; fi",
            EnableNetworkIsolation=isolated,
        )
        job = world.ended(name)
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    assert world.lines(name)[-1] == ("nothing" if isolated else "reached")


def test_uncompressed_output_is_a_tree(world: World) -> None:
    world.create(
        "tree", "mkdir /opt/ml/model/deep; echo m > /opt/ml/model/deep/file; echo d > /opt/ml/output/data/extra",
        OutputDataConfig={"S3OutputPath": f"s3://{BUCKET}/out", "CompressionType": "NONE"},
    )  # fmt: skip
    job = world.ended("tree")
    assert job["ModelArtifacts"]["S3ModelArtifacts"] == f"s3://{BUCKET}/out/tree/output/model/"
    assert world.keys("out/tree/") == ["out/tree/output/data/extra", "out/tree/output/model/deep/file"]


def test_a_warm_pool_is_kept_and_taken_over(world: World) -> None:
    resources = {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1, "KeepAlivePeriodInSeconds": 60}
    world.create("warm-1", "true", ResourceConfig=resources)
    assert world.ended("warm-1")["WarmPoolStatus"]["Status"] == "Available"
    world.create("warm-2", "true", ResourceConfig=resources)
    assert world.ended("warm-2")["WarmPoolStatus"]["Status"] == "Available"
    pool = world.describe("warm-1")["WarmPoolStatus"]
    assert (pool["Status"], pool["ReusedByJob"]) == ("Reused", "warm-2")
    listed = world.call("ListTrainingJobs", WarmPoolStatusEquals="Reused")["TrainingJobSummaries"]
    assert [one["TrainingJobName"] for one in listed] == ["warm-1"]
    world.call("UpdateTrainingJob", TrainingJobName="warm-2", ResourceConfig={"KeepAlivePeriodInSeconds": 0})
    assert world.describe("warm-2")["WarmPoolStatus"]["Status"] == "Terminated"
    world.call("DeleteTrainingJob", TrainingJobName="warm-2")
