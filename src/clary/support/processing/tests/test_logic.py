"""From requests to hosts, and from what is observed of them to statuses: pure, without a kernel."""

import json
from dataclasses import replace
from typing import Any

import pytest

from clary.kernel.core.errors import AwsError
from clary.kernel.images import ImageUnavailable, Runtime
from clary.kernel.jobs.contract import (
    Channel,
    Failure,
    HostSpec,
    InputMode,
    Observation,
    Outcome,
    Output,
    Phase,
    Resources,
    Wake,
)
from clary.support.processing.logic_datasets import queried_inputs, query_of
from clary.support.processing.logic_hosts import Attempt, command, host_specs, hosts_of
from clary.support.processing.logic_progress import ask_to_stop, follow, must_stop
from clary.support.processing.logic_requests import complete
from clary.support.processing.records import ProcessingJob
from clary.support.processing.tests.conftest import request, s3_input, s3_outputs

RUNTIME = Runtime(
    "python", environment={"A": "image", "B": "image"}, preload=("pandas",), programs={"tool": ("python", "tool.py")}
)
DATA = "/opt/ml/processing/input/data"


def job_of(**members: Any) -> ProcessingJob:
    asked = {name: value for name, value in request("job", **members).items() if name != "ProcessingJobName"}
    return ProcessingJob("u", "arn:job", complete(asked), "arn:role", "InProgress")


def specs(**members: Any) -> list[HostSpec]:
    job = job_of(**members)
    count = job.request["ProcessingResources"]["ClusterConfig"]["InstanceCount"]
    attempt = Attempt.of(job, "job", [Resources(1, 100)] * count, 12.5, "s")
    return host_specs(
        job, attempt, RUNTIME, name="job", account="1", region="r", wake=Wake("t", "k"), environment={"A": "given"}
    )


def test_defaults_are_those_of_aws() -> None:
    job = job_of(ProcessingInputs=[s3_input("data", "https://s3.us-east-1.amazonaws.com/b/k", DATA)])
    assert job.request["StoppingCondition"] == {"MaxRuntimeInSeconds": 86_400}
    assert job.request["ProcessingOutputConfig"] == {"Outputs": []}
    [source] = job.request["ProcessingInputs"]
    assert source["AppManaged"] is False
    assert source["S3Input"] == {
        "S3Uri": "s3://b/k",
        "LocalPath": DATA,
        "S3DataType": "S3Prefix",
        "S3InputMode": "File",
        "S3DataDistributionType": "FullyReplicated",
        "S3CompressionType": "None",
    }


QUERY = {
    "Catalog": "AwsDataCatalog", "Database": "d", "QueryString": "SELECT 'it''s' ; ", "OutputS3Uri": "s3://b/out/",
    "OutputFormat": "PARQUET", "OutputCompression": "SNAPPY", "WorkGroup": "w",
}  # fmt: skip
ATHENA = {"AthenaDatasetDefinition": QUERY, "LocalPath": DATA}
REDSHIFT = {"RedshiftDatasetDefinition": {"ClusterId": "c"}, "LocalPath": DATA}


PREFERENCES = {
    "InstancePreferences": [{"InstanceType": "ml.c5.xlarge", "InstanceCount": 2}, {"InstanceType": "ml.m5.large"}]
}
TO_FEATURES = {"OutputName": "o", "FeatureStoreOutput": {"FeatureGroupName": "g"}}


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"ProcessingInputs": [s3_input("a", "s3://b/k", "/tmp/x")]}, "below /opt/ml"),
        ({"ProcessingInputs": [s3_input("a", "s3://b/k", "/opt/ml/processing/../../x")]}, "below /opt/ml"),
        ({"ProcessingInputs": [s3_input("a", "s3://b/k", "/opt/ml/config")]}, "take another folder"),
        ({"ProcessingInputs": [s3_input("a", "s3://b/k", "")]}, "LocalPath is required"),
        ({"ProcessingInputs": [s3_input("a", "https://x.org/k", DATA)]}, "does not name a place in S3"),
        ({"ProcessingInputs": [s3_input("a", "s3://b/k", DATA, S3CompressionType="Gzip")]}, "Pipe mode only"),
        ({"ProcessingInputs": [s3_input("a", "s3://b/k", DATA)] * 2}, "more than once"),
        ({"ProcessingInputs": [{"InputName": "a"}]}, "either an S3Input or a DatasetDefinition"),
        ({"ProcessingInputs": [{"InputName": "a", "DatasetDefinition": REDSHIFT}]}, "no Redshift here"),
        ({"ProcessingInputs": [{"InputName": "a", "DatasetDefinition": ATHENA | {"LocalPath": ""}}]}, "LocalPath is"),
        ({"ProcessingInputs": [{"InputName": "a", "DatasetDefinition": {"LocalPath": DATA}}]}, "has neither Athena"),
        ({"ProcessingOutputConfig": s3_outputs("s3://b/k", "/data")}, "below /opt/ml"),
        ({"ProcessingOutputConfig": {"Outputs": [{"OutputName": "o"}]}}, "either an S3Output or a FeatureStoreOutput"),
        ({"ProcessingOutputConfig": {"Outputs": [TO_FEATURES]}}, "requires AppManaged true"),
        ({"ProcessingResources": {"ClusterConfig": {"VolumeSizeInGB": 1}}}, "either an InstanceType or InstancePref"),
        ({"ProcessingResources": {"ClusterConfig": {**PREFERENCES, "InstanceType": "x"}}}, "either an InstanceType"),
    ],
)  # fmt: skip
def test_what_cannot_be_honoured_is_refused(members: dict[str, Any], message: str) -> None:
    with pytest.raises(AwsError, match=message) as caught:
        job_of(**members)
    assert caught.value.code == "ValidationException"


def test_what_goes_to_a_feature_group_is_described_to_the_program_that_puts_it_there() -> None:
    declared = {**TO_FEATURES, "AppManaged": True}
    [spec] = specs(ProcessingOutputConfig={"Outputs": [declared]})
    described = json.loads(spec.files["config/processingjobconfig.json"])
    assert described["ProcessingOutputConfig"]["Outputs"] == [declared]
    assert spec.outputs == ()


def test_a_query_is_unloaded_into_a_folder_of_the_jobs_own() -> None:
    one = {"InputName": "rows", "DatasetDefinition": ATHENA}
    job = job_of(ProcessingInputs=[one])
    [one] = queried_inputs(job)
    folder = f"s3://b/out/{job.arn}-{job.uid}/rows"
    asked = query_of(job, one)
    assert asked == query_of(job, one)
    assert asked["QueryString"] == (
        f"UNLOAD (\nSELECT 'it''s'\n) TO '{folder}/data/' WITH (format = 'PARQUET', compression = 'SNAPPY')"
    )
    assert asked["ResultConfiguration"] == {"OutputLocation": f"{folder}/results/"}
    assert (asked["WorkGroup"], asked["QueryExecutionContext"]["Database"]) == ("w", "d")
    [channel] = specs(ProcessingInputs=[one])[0].channels
    assert (channel.uri, channel.path, channel.mode) == (f"{folder}/data/", "processing/input/data", InputMode.FILE)
    first, second = specs(ProcessingInputs=[one], hosts=2)
    assert [spec.channels[0].shard_index for spec in (first, second)] == [0, 1]


def test_the_first_preference_is_selected() -> None:
    cluster = {**PREFERENCES, "VolumeSizeInGB": 1}
    asked = complete({**request("job"), "ProcessingResources": {"ClusterConfig": cluster}})
    shown = asked["ProcessingResources"]["ClusterConfig"]
    assert (shown["SelectedInstanceType"], shown["SelectedInstanceCount"]) == ("ml.c5.xlarge", 2)
    assert [(host.name, host.instance_type) for host in hosts_of(asked)] == [
        ("algo-1", "ml.c5.xlarge"), ("algo-2", "ml.c5.xlarge"),
    ]  # fmt: skip


def test_hosts_are_told_what_sagemaker_tells_them() -> None:
    first, second = specs(
        hosts=2,
        Environment={"B": "job"},
        ProcessingInputs=[
            s3_input("whole", "s3://b/whole", f"{DATA}/whole/"),
            s3_input("part", "s3://b/part", "/opt/ml/part", S3DataDistributionType="ShardedByS3Key"),
            s3_input("pipe", "s3://b/pipe", DATA, S3InputMode="Pipe", S3CompressionType="Gzip"),
        ],
        ProcessingOutputConfig=s3_outputs("s3://b/out", "/opt/ml/processing/output", "Continuous"),
        NetworkConfig={"EnableNetworkIsolation": True},
        StoppingCondition={"MaxRuntimeInSeconds": 60},
    )
    assert second.channels == (
        Channel("whole", "s3://b/whole", path="processing/input/data/whole"),
        Channel("part", "s3://b/part", path="part", shard_index=1, shard_count=2),
        Channel("pipe", "s3://b/pipe", path="processing/input/data", mode=InputMode.PIPE, gzip=True),
    )
    assert first.outputs == (
        Output("processing/output", "s3://b/out", archive=False, continuous=True, resumes=False),
    )  # fmt: skip
    assert first.environment == {"A": "image", "B": "job", "CLARY_CLUSTER_SECRET": "s"}
    assert (first.network, first.max_runtime_seconds, first.stop_grace_seconds) == (False, 60.0, 120.0)
    assert first.log is not None
    assert (first.log.group, first.log.stream) == ("/aws/sagemaker/ProcessingJobs", "job/algo-1-12500")
    told = json.loads(second.files["config/resourceconfig.json"])
    assert (told["current_host"], told["hosts"]) == ("algo-2", ["algo-1", "algo-2"])
    described = json.loads(first.files["config/processingjobconfig.json"])
    assert described["ProcessingJobName"] == "job"
    assert described["AppSpecification"]["ContainerArguments"] is None
    assert set(first.peers) == {"algo-1", "algo-2"}


@pytest.mark.parametrize(
    ("entrypoint", "arguments", "argv"),
    [
        (["python3", "/opt/ml/s.py"], ["--a"], ("python", "-m", "clary.runtime", "script", "/opt/ml/s.py", "--a")),
        (["python3", "-u", "s.py"], [], ("python", "-m", "clary.runtime", "script", "s.py")),
        (["python3", "-m", "s.py"], [], ("python3", "-m", "s.py")),
        (["python3"], ["s.py"], ("python", "-m", "clary.runtime", "script", "s.py")),
        (["/bin/bash", "run.sh"], ["x"], ("/bin/bash", "run.sh", "x")),
        (["tool", "--flag"], [], ("python", "tool.py", "--flag")),
        ([], ["env"], ("env",)),
    ],
)
def test_what_runs(entrypoint: list[str], arguments: list[str], argv: tuple[str, ...]) -> None:
    application = {"ImageUri": "python", "ContainerEntrypoint": entrypoint, "ContainerArguments": arguments}
    assert command({"AppSpecification": application}, RUNTIME) == argv


def test_an_image_without_a_program_needs_an_entrypoint() -> None:
    with pytest.raises(ImageUnavailable, match="ContainerEntrypoint"):
        command({"AppSpecification": {"ImageUri": "python"}}, RUNTIME)


def running(host: str = "algo-1") -> Observation:
    return Observation("j", host, Phase.RUNNING, {Phase.DOWNLOADING: 10.0, Phase.RUNNING: 11.0})


def ended(outcome: Outcome, host: str = "algo-1", at: float = 20.0, **members: Any) -> Observation:
    return Observation("j", host, Phase.ENDED, {Phase.DOWNLOADING: 10.0, Phase.ENDED: at}, outcome, **members)


def begun(**members: Any) -> ProcessingJob:
    job = job_of(**members)
    hosts = job.request["ProcessingResources"]["ClusterConfig"]["InstanceCount"]
    attempt = Attempt.of(job, "job", [Resources()] * hosts, 9.0, "s")
    return follow(_with(job, attempt), [running(f"algo-{number + 1}") for number in range(hosts)])


def _with(job: ProcessingJob, attempt: Attempt) -> ProcessingJob:
    return replace(job, attempt=attempt.document())


@pytest.mark.parametrize(
    ("seen", "status", "reason"),
    [
        (ended(Outcome.COMPLETED, exit_code=0, message="fine"), "Completed", ""),
        (ended(Outcome.FAILED, exit_code=2, reason="x"), "Failed", "AlgorithmError: x, exit code: 2"),
        (ended(Outcome.FAILED, failure=Failure.CLIENT, reason="no data"), "Failed", "ClientError: no data"),
        (ended(Outcome.FAILED, failure=Failure.INTERNAL, reason="y"), "Failed", "InternalServerError: We encountered"),
        (ended(Outcome.TIMED_OUT, exit_code=143), "Stopped", "The job was stopped: its MaxRuntimeInSeconds"),
    ],
)  # fmt: skip
def test_an_end_is_told_in_awss_words(seen: Observation, status: str, reason: str) -> None:
    job = begun()
    assert (job.status, job.started) == ("InProgress", 10.0)
    over = follow(job, [seen])
    assert (over.status, over.ended, over.exit_message) == (status, 20.0, seen.message)
    assert over.failure_reason.startswith(reason)
    assert bool(over.failure_reason) == bool(reason)
    assert follow(over, [seen]) is over


def test_a_job_told_to_stop_is_stopped_however_it_ends() -> None:
    job = ask_to_stop(begun(hosts=2))
    assert job is not None
    assert job.status == "Stopping"
    assert ask_to_stop(job) is None
    hosts = [ended(Outcome.FAILED, exit_code=1), running("algo-2")]
    assert must_stop(job, hosts)
    assert follow(job, hosts).status == "Stopping"
    assert follow(job, [hosts[0], ended(Outcome.LOST, "algo-2")]).status == "Stopped"


def test_a_failed_host_ends_the_others_and_explains_the_job() -> None:
    job = begun(hosts=2)
    broken = ended(Outcome.FAILED, exit_code=4, failure=Failure.ALGORITHM, reason="mine", at=15.0)
    assert must_stop(job, [broken, running("algo-2")])
    assert follow(job, [broken, running("algo-2")]).status == "InProgress"
    over = follow(job, [broken, ended(Outcome.STOPPED, "algo-2", message="bye")])
    assert (over.status, over.ended, over.exit_message) == ("Failed", 20.0, "bye")
    assert over.failure_reason == "AlgorithmError: mine, exit code: 4"


def test_lost_hosts_mean_other_attempts_within_the_same_time() -> None:
    job = begun(StoppingCondition={"MaxRuntimeInSeconds": 100})
    for number in (1, 2, 3):
        job = follow(job, [ended(Outcome.LOST)])
        assert (job.status, job.restarts, job.ran_seconds) == ("InProgress", number, 10.0 * number)
        attempt = Attempt.of(job, "job", [Resources()], 30.0, "s")
        assert attempt.id.endswith(f"-{number + 1}")
        assert attempt.max_runtime_seconds == 100 - 10.0 * number
        job = follow(_with(job, attempt), [running()])
    over = follow(job, [ended(Outcome.LOST)])
    assert over.status == "Failed"
    assert "A processing host was lost" in over.failure_reason
