"""From a request to hosts: what SageMaker writes into a container, and where things go."""

import json
from typing import Any

import pytest

from clary.kernel.images import Metric, Runtime
from clary.kernel.jobs.contract import Channel, HostSpec, InputMode, MetricDefinition, Output, Resources, Wake
from clary.kernel.jobs.hosts import addresses, below_root
from clary.systems.training.logic_hosts import Attempt, host_specs, hosts_of
from clary.systems.training.logic_requests import complete
from clary.systems.training.logic_transitions import first_transition
from clary.systems.training.records import TrainingJob

RUNTIME = Runtime(
    "xgboost",
    train=("python", "train"),
    run=("python", "run"),
    environment={"A": "image", "B": "image"},
    preload=("xgboost",),
)
TWO = {"InstanceType": "ml.m5.large", "InstanceCount": 2, "VolumeSizeInGB": 1}


def channel(
    name: str = "train", uri: str = "s3://b/in", *, source: dict[str, Any] | None = None, **members: Any
) -> Any:
    place = {"S3DataType": "S3Prefix", "S3Uri": uri, **(source or {})}
    return {"ChannelName": name, "DataSource": {"S3DataSource": place}, **members}


def request(**members: Any) -> dict[str, Any]:
    return complete(
        {
            "AlgorithmSpecification": {"TrainingImage": "sagemaker-xgboost", "TrainingInputMode": "File"},
            "OutputDataConfig": {"S3OutputPath": "s3://b/out/"},
            "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
            **members,
        }
    )


def specs(runtime: Runtime = RUNTIME, **members: Any) -> list[HostSpec]:
    asked = request(**members)
    job = TrainingJob("u", "arn:job", asked, "arn:role", "InProgress", "Starting", first_transition(0.0))
    hosts = hosts_of(asked)
    attempt = Attempt.of(job, "job", hosts, [Resources(2, 10, (1,))] * len(hosts), 1, 12.5, 60.0)
    assert Attempt(**json.loads(json.dumps(attempt.document()))) == attempt
    return host_specs(
        job,
        attempt,
        runtime,
        name="job",
        account="000000000000",
        region="eu-west-1",
        wake=Wake("training", "key"),
        environment={"AWS_REGION": "eu-west-1", "A": "platform"},
    )


def document(spec: HostSpec, name: str) -> Any:
    return json.loads(spec.files[f"input/config/{name}.json"])


def test_one_host_has_sagemakers_documents_names_and_places() -> None:
    [spec] = specs(HyperParameters={"eta": "0.1"}, InputDataConfig=[channel(ContentType="text/csv")])
    assert (spec.job, spec.host, spec.argv) == ("training-job-u-1", "algo-1", ("python", "train"))
    assert spec.log is not None
    assert (spec.log.group, spec.log.stream) == ("/aws/sagemaker/TrainingJobs", "job/algo-1-12500")
    assert document(spec, "hyperparameters") == {"eta": "0.1"}
    assert document(spec, "inputdataconfig") == {
        "train": {
            "TrainingInputMode": "File",
            "S3DistributionType": "FullyReplicated",
            "RecordWrapperType": "None",
            "ContentType": "text/csv",
        }
    }
    config = document(spec, "resourceconfig")
    assert config.pop("network_interface_name").startswith("lo")
    assert config == {
        "current_host": "algo-1",
        "current_instance_type": "ml.m5.large",
        "current_group_name": "homogeneousCluster",
        "hosts": ["algo-1"],
        "instance_groups": [
            {"instance_group_name": "homogeneousCluster", "instance_type": "ml.m5.large", "hosts": ["algo-1"]}
        ],
    }
    assert spec.channels == (Channel("train", "s3://b/in"),)
    assert spec.outputs == (
        Output("model", "s3://b/out/job/output/model.tar.gz", on_failure=False, even_empty=True),
        Output("output/data", "s3://b/out/job/output/output.tar.gz"),
    )
    assert spec.resources == Resources(2, 10, (1,))
    assert spec.warm == "python:xgboost"
    assert spec.peers == {"algo-1": "127.0.0.1"}
    assert spec.max_runtime_seconds == 60.0
    assert HostSpec.from_json(spec.to_json()) == spec


def test_the_users_environment_stands_above_the_images_and_that_above_the_platforms() -> None:
    [spec] = specs(Environment={"B": "user", "C": "user"})
    assert {name: spec.environment[name] for name in "ABC"} == {"A": "image", "B": "user", "C": "user"}
    assert spec.environment["TRAINING_JOB_NAME"] == "job"
    assert spec.environment["TRAINING_JOB_ARN"] == "arn:job"


def test_sharded_channels_are_shared_out_and_replicated_ones_are_not() -> None:
    sharded = channel("a", source={"S3DataDistributionType": "ShardedByS3Key"}, ShuffleConfig={"Seed": 7})
    first, second = specs(ResourceConfig=TWO, InputDataConfig=[sharded, channel("b")])
    assert [(one.shard_index, one.shard_count, one.shuffle_seed) for one in first.channels] == [(0, 2, 7), (0, 1, None)]
    assert [(one.shard_index, one.shard_count) for one in second.channels] == [(1, 2), (0, 1)]
    assert first.peers == second.peers
    assert len(set(first.peers.values())) == 2
    assert first.environment["CLARY_RENDEZVOUS_PORT"] == second.environment["CLARY_RENDEZVOUS_PORT"]


def test_every_host_keeps_what_it_wrote() -> None:
    first, second = specs(ResourceConfig=TWO)
    assert [one.uri.rpartition("/")[2] for one in first.outputs] == ["model.tar.gz", "output.tar.gz"]
    assert [one.uri.rpartition("/")[2] for one in second.outputs] == ["model-algo-2.tar.gz", "output-algo-2.tar.gz"]
    assert [one.even_empty for one in (*first.outputs, *second.outputs)] == [True, False, False, False]


def test_uncompressed_outputs_are_trees() -> None:
    [spec] = specs(OutputDataConfig={"S3OutputPath": "s3://b", "CompressionType": "NONE"})
    assert [(one.uri, one.archive) for one in spec.outputs] == [
        ("s3://b/job/output/model/", False),
        ("s3://b/job/output/data/", False),
    ]


def test_instance_groups_have_their_channels_and_share_them_among_themselves() -> None:
    groups = [
        {"InstanceGroupName": "data", "InstanceType": "ml.c5.large", "InstanceCount": 2},
        {"InstanceGroupName": "net", "InstanceType": "ml.m5.large", "InstanceCount": 1},
    ]
    mine = channel("raw", source={"InstanceGroupNames": ["data"], "S3DataDistributionType": "ShardedByS3Key"})
    hosts = specs(ResourceConfig={"InstanceGroups": groups}, InputDataConfig=[mine, channel("all")])
    assert [[one.name for one in host.channels] for host in hosts] == [["raw", "all"], ["raw", "all"], ["all"]]
    assert [host.channels[0].shard_count for host in hosts] == [2, 2, 1]
    config = document(hosts[2], "resourceconfig")
    assert (config["current_group_name"], config["current_instance_type"]) == ("net", "ml.m5.large")
    assert [group["hosts"] for group in config["instance_groups"]] == [["algo-1", "algo-2"], ["algo-3"]]


def test_a_channels_own_mode_stands_above_the_algorithms() -> None:
    piped = channel("p", InputMode="Pipe", CompressionType="Gzip", RecordWrapperType="RecordIO")
    [spec] = specs(InputDataConfig=[piped, channel("f")])
    assert [one.mode for one in spec.channels] == [InputMode.PIPE, InputMode.FILE]
    assert (spec.channels[0].gzip, spec.channels[0].record_io) == (True, True)


def test_checkpoints_and_tensorboard_are_synchronised_while_it_runs() -> None:
    [spec] = specs(
        CheckpointConfig={"S3Uri": "s3://b/ck", "LocalPath": "/opt/ml/mine"},
        TensorBoardOutputConfig={"S3OutputPath": "s3://b/tb/"},
    )
    assert spec.outputs[2:] == (
        Output("mine", "s3://b/ck", archive=False, continuous=True),
        Output("output/tensorboard", "s3://b/tb/job/tensorboard-output", archive=False, continuous=True),
    )
    assert document(spec, "checkpointconfig") == {"S3Uri": "s3://b/ck", "LocalPath": "/opt/ml/mine"}


def test_an_own_command_replaces_the_runtimes() -> None:
    algorithm = {"TrainingImage": "python:3.12", "TrainingInputMode": "File"}
    command = {"ContainerEntrypoint": ["/bin/bash", "-c"], "ContainerArguments": ["echo 1"]}
    [spec] = specs(AlgorithmSpecification={**algorithm, **command})
    assert spec.argv == ("python", "run", "/bin/bash", "-c", "echo 1")
    assert spec.warm is None
    [spec] = specs(AlgorithmSpecification={**algorithm, "ContainerArguments": ["train"]})
    assert spec.argv == ("python", "train")


def test_the_algorithms_metrics_fill_names_that_the_request_leaves_free() -> None:
    runtime = Runtime("x", train=("t",), metrics=(Metric("a", "own"), Metric("b", "own")))
    algorithm = {
        "TrainingImage": "x",
        "TrainingInputMode": "File",
        "MetricDefinitions": [{"Name": "a", "Regex": "mine"}],
    }
    [spec] = specs(runtime, AlgorithmSpecification=algorithm)
    assert spec.metrics == (MetricDefinition("a", "mine"), MetricDefinition("b", "own"))
    assert spec.metric_dimensions == {"TrainingJobName": "job"}


def test_network_isolation_reaches_the_host() -> None:
    assert specs(EnableNetworkIsolation=True)[0].network is False
    assert specs()[0].network is True


def test_attempts_have_addresses_of_their_own() -> None:
    assert addresses("a", 1) == ["127.0.0.1"]
    assert len({*addresses("a", 3), *addresses("b", 3)}) == 6


@pytest.mark.parametrize("path", ["/opt/ml", "/opt/ml/", "/opt/ml/../etc", "/tmp/x", "checkpoints", "/opt/mlx/a"])
def test_local_paths_stay_below_the_root(path: str) -> None:
    with pytest.raises(ValueError, match="must be a folder below"):
        below_root(path)
