"""Jobs that really run: what their hosts find and leave behind, and how they end."""

import json

from clary.support.processing.tests.conftest import BUCKET, World, s3_input, s3_outputs
from clary.testing import eventually

OUT = "/opt/ml/processing/output"
FOREVER = "while true; do read -t 1 <> <(:) || :; done"


def test_a_script_finds_its_data_and_its_description_and_leaves_files_and_a_message(world: World) -> None:
    world.put("in/a.csv", b"1,2\n")
    world.put("in/deep/b.csv", b"3,4\n")
    script = f"""
import json, os, pathlib, sys
print(sys.argv, __name__, sys.path[0], os.environ["GREETING"], os.environ["AWS_REGION"])
job = json.load(open("/opt/ml/config/processingjobconfig.json"))
hosts = json.load(open("/opt/ml/config/resourceconfig.json"))
print(job["ProcessingJobName"], job["ProcessingInputs"][1]["S3Input"]["LocalPath"], hosts["hosts"])
data = pathlib.Path("/opt/ml/processing/input/data")
text = "".join(sorted(path.read_text() for path in data.rglob("*.csv")))
pathlib.Path("{OUT}/deep").mkdir()
pathlib.Path("{OUT}/deep/all.csv").write_text(text)
pathlib.Path("/opt/ml/output/message").write_text("all is well")
"""
    world.create(
        "files", script, python=True, arguments=["--rows", "2"], Environment={"GREETING": "hello"},
        ProcessingInputs=[s3_input("data", f"s3://{BUCKET}/in", "/opt/ml/processing/input/data")],
        ProcessingOutputConfig=s3_outputs(f"s3://{BUCKET}/files/out/", OUT),
    )  # fmt: skip
    job = world.ended("files")
    assert (job["ProcessingJobStatus"], job.get("FailureReason")) == ("Completed", None)
    assert job["ExitMessage"] == "all is well"
    assert job["CreationTime"] <= job["ProcessingStartTime"] <= job["ProcessingEndTime"]
    assert world.keys("files/") == ["files/out/deep/all.csv"]
    assert world.get("files/out/deep/all.csv") == b"1,2\n3,4\n"
    code = "/opt/ml/processing/input/code"
    assert world.lines("files") == [
        f"['{code}/run.py', '--rows', '2'] __main__ {code} hello us-east-1",
        "files /opt/ml/processing/input/data ['algo-1']",
    ]


def test_a_failed_script_says_why_and_what_it_made_is_kept(world: World) -> None:
    script = f"""
import sys
open("{OUT}/half.txt", "w").write("half")
open("/opt/ml/output/message", "w").write("the last row is bad")
sys.exit(7)
"""
    world.create("fails", script, python=True, ProcessingOutputConfig=s3_outputs(f"s3://{BUCKET}/fails", OUT))
    job = world.ended("fails")
    assert job["ProcessingJobStatus"] == "Failed"
    assert job["FailureReason"] == "AlgorithmError: the last row is bad, exit code: 7"
    assert job["ExitMessage"] == "the last row is bad"
    assert world.get("fails/half.txt") == b"half"


def test_an_error_shows_its_traceback_from_the_scripts_first_line(world: World) -> None:
    world.create("raises", "def f():\n    raise ValueError('no rows')\nf()\n", python=True)
    job = world.ended("raises")
    assert job["FailureReason"].startswith("AlgorithmError: ")
    assert "ValueError: no rows" in job["FailureReason"]
    assert job.get("ExitMessage") is None
    traceback = world.lines("raises")
    assert traceback[:2] == [
        "Traceback (most recent call last):",
        '  File "/opt/ml/processing/input/code/run.py", line 3, in <module>',
    ]


def test_missing_data_and_images_fail_the_job(world: World) -> None:
    missing = s3_input("data", f"s3://{BUCKET}/nothing-here", "/opt/ml/processing/input/data")
    world.create("no-data", "true", ProcessingInputs=[missing])
    reason = world.ended("no-data")["FailureReason"]
    assert reason.startswith("ClientError: ")
    assert f"s3://{BUCKET}/nothing-here" in reason
    asked = {"ProcessingJobName": "no-program", "RoleArn": "arn:aws:iam::000000000000:role/any"}
    cluster = {"InstanceType": "ml.t3.medium", "InstanceCount": 1, "VolumeSizeInGB": 1}
    image = {"ImageUri": "python:3.12"}
    world.call("CreateProcessingJob", **asked, AppSpecification=image, ProcessingResources={"ClusterConfig": cluster})
    assert "ContainerEntrypoint" in world.ended("no-program")["FailureReason"]


def test_a_stopped_job_may_save_its_work(world: World) -> None:
    script = f"trap 'echo saved > {OUT}/saved; exit 0' TERM; echo up; {FOREVER}"
    world.create("stops", script, ProcessingOutputConfig=s3_outputs(f"s3://{BUCKET}/stops", OUT))
    eventually(lambda: world.lines("stops") == ["up"])
    world.call("StopProcessingJob", ProcessingJobName="stops")
    assert world.ended("stops")["ProcessingJobStatus"] == "Stopped"
    assert world.get("stops/saved") == b"saved\n"


def test_a_job_out_of_time_is_stopped(world: World) -> None:
    world.create("slow", FOREVER, StoppingCondition={"MaxRuntimeInSeconds": 1})
    job = world.ended("slow")
    assert job["ProcessingJobStatus"] == "Stopped"
    assert "MaxRuntimeInSeconds of 1" in job["FailureReason"]


def test_hosts_share_the_data_meet_and_bring_their_files_together(world: World) -> None:
    for letter in "abcd":
        world.put(f"shards/{letter}", letter.encode())
    script = f"""
import json, os, pathlib, socket
hosts = json.load(open("/opt/ml/config/resourceconfig.json"))
me, leader = hosts["current_host"], hosts["hosts"][0]
mine = "".join(sorted(path.name for path in pathlib.Path("/opt/ml/processing/input/shards").iterdir()))
pathlib.Path("{OUT}", me).write_text(mine)
if me == leader:
    with socket.create_server((leader, 23456)) as listener:
        print(listener.accept()[0].recv(9).decode())
else:
    while True:
        try:
            with socket.create_connection((leader, 23456), timeout=5) as connection:
                connection.sendall(me.encode())
            break
        except OSError:
            pass
"""
    shards = s3_input(
        "shards", f"s3://{BUCKET}/shards/", "/opt/ml/processing/input/shards", S3DataDistributionType="ShardedByS3Key"
    )
    world.create(
        "together", script, python=True, hosts=2,
        ProcessingInputs=[shards], ProcessingOutputConfig=s3_outputs(f"s3://{BUCKET}/together", OUT),
    )  # fmt: skip
    job = world.ended("together")
    assert job["ProcessingJobStatus"] == "Completed", job.get("FailureReason")
    assert world.lines("together") == ["algo-2"]
    parts = [world.get(f"together/algo-{number}").decode() for number in (1, 2)]
    assert sorted("".join(parts)) == ["a", "b", "c", "d"]
    assert all(len(part) == 2 for part in parts)


def test_one_host_that_fails_ends_all_and_what_the_others_made_is_kept(world: World) -> None:
    script = f"""
import json, signal, socket, sys
if json.load(open("/opt/ml/config/resourceconfig.json"))["current_host"] == "algo-1":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    open("{OUT}/kept", "w").write("kept")
    with socket.create_server(("algo-1", 23457)) as listener:
        listener.accept()
    signal.pause()
while True:
    try:
        socket.create_connection(("algo-1", 23457), timeout=5).close()
        sys.exit(3)
    except OSError:
        pass
"""
    world.create("gang", script, python=True, hosts=2, ProcessingOutputConfig=s3_outputs(f"s3://{BUCKET}/gang", OUT))
    job = world.ended("gang")
    assert job["ProcessingJobStatus"] == "Failed"
    assert job["FailureReason"].endswith("exit code: 3")
    assert world.get("gang/kept") == b"kept"


def test_continuous_outputs_are_there_while_the_job_runs(world: World) -> None:
    world.put("live/old", b"of another job")
    script = f"ls {OUT}; echo 1 > {OUT}/first; until [ -e {OUT}/go ]; do read -t 0.1 <> <(:) || :; done"
    world.create(
        "live", f"({script}) & trap 'touch {OUT}/go' TERM; wait; wait",
        ProcessingOutputConfig=s3_outputs(f"s3://{BUCKET}/live", OUT, "Continuous"),
    )  # fmt: skip
    eventually(lambda: "live/first" in world.keys("live/"))
    assert world.describe("live")["ProcessingJobStatus"] == "InProgress"
    world.call("StopProcessingJob", ProcessingJobName="live")
    assert world.ended("live")["ProcessingJobStatus"] == "Stopped"
    assert world.keys("live/") == ["live/first", "live/go", "live/old"]
    assert world.lines("live") == [], "what lies at the output's place in S3 is not an input"


def test_pipes_stream_and_the_applications_own_inputs_are_left_to_it(world: World) -> None:
    world.put("stream/a", b"one\n")
    world.put("stream/b", b"two\n")
    piped = s3_input("piped", f"s3://{BUCKET}/stream/", "/opt/ml/processing/input/piped", S3InputMode="Pipe")
    own = {"InputName": "own", "AppManaged": True, "S3Input": {"S3Uri": "s3://other/place", "S3DataType": "S3Prefix"}}
    world.create("piped", "cat /opt/ml/processing/input/piped_0", ProcessingInputs=[piped, own])
    job = world.ended("piped")
    assert job["ProcessingJobStatus"] == "Completed", job.get("FailureReason")
    assert world.lines("piped") == ["one", "two"]


def test_python_is_the_jobs_own_and_an_installing_script_gets_a_fresh_one(world: World) -> None:
    world.create("own-python", "python3 -c 'import sys, botocore; print(sys.executable)'; which python3 pip3")
    assert world.ended("own-python")["ProcessingJobStatus"] == "Completed"
    assert [line.split("/")[1] for line in world.lines("own-python")] == ["clary"] * 3
    fresh = "print(json.dumps([__name__, len(sys.argv), 'clary.runtime' in sys.modules]))"
    world.create("fresh", f"import sys, json  # pip may install\n{fresh}", python=True)
    assert world.ended("fresh")["ProcessingJobStatus"] == "Completed"
    assert json.loads(world.lines("fresh")[0]) == ["__main__", 1, False]
