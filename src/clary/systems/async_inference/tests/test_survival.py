"""Nothing that was accepted is lost, whatever is killed; and instances come and go with what waits."""

from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from clary.kernel.jobs.contract import Observation
from clary.kernel.jobs.folder import HostFolder, hosts
from clary.systems.async_inference.tests.conftest import Client, Gate, archive
from clary.testing import eventually, kill, start_server, stop_server

pytestmark = pytest.mark.slow


@pytest.fixture
def own(tmp_path: Path, unique: Callable[[str], str]) -> Iterator[Client]:
    """A client of a server of this test alone."""
    client = Client(start_server(tmp_path / "home", warm_interpreters=False), unique)
    yield client
    stop_server(client.server)


def servers(client: Client) -> list[Observation]:
    home = client.server.home
    seen = [HostFolder(home, job, host).observe() for job, host in hosts(home)]
    return [one for one in seen if one is not None and not one.ended]


def controller(client: Client) -> psutil.Process:
    (found,) = client.server.processes("controller")
    return found


def test_killed_processes_lose_no_request(own: Client, gate: Gate) -> None:
    topic, queue = own.topic()
    told = {"SuccessTopic": topic, "ErrorTopic": topic}
    name = own.endpoint(own.config(own.model(archive()), NotificationConfig=told))
    invoked = [own.invoke(name, {"gate": gate.url, "number": number}) for number in range(3)]

    eventually(lambda: gate.arrived == 1)
    controller(own).kill()  # the model goes on; the controller that comes next asks it again
    (server,) = servers(own)
    assert server.shim_pid is not None
    shim = psutil.Process(server.shim_pid)
    kill(shim, *shim.children(recursive=True))
    before = gate.arrived  # two, if the next controller has asked it already
    eventually(lambda: gate.arrived > before)

    supervisor = psutil.Process(own.server.process.pid)
    kill(supervisor, *supervisor.children())
    own.server.process.wait()
    again = Client(start_server(own.server.home, warm_interpreters=False), own.unique)
    own.server = again.server
    gate.open.set()
    assert [again.answer(one)["asked"]["number"] for one in invoked] == [0, 1, 2]
    outputs = {again.told(queue)["responseParameters"]["outputLocation"] for _ in invoked}
    assert outputs == {one["OutputLocation"] for one in invoked}
    listed = again.s3.list_objects_v2(Bucket=own.bucket, Prefix="answers/")["Contents"]
    assert len(listed) == 3
    assert "Contents" not in again.s3.list_objects_v2(Bucket=own.bucket, Prefix="failures/")


def test_instances_come_and_go_with_what_waits(client: Client) -> None:
    name = client.endpoint(client.config(client.model(archive())))
    scaling, cloudwatch = client.server.client("application-autoscaling"), client.server.client("cloudwatch")
    target = {
        "ServiceNamespace": "sagemaker",
        "ResourceId": f"endpoint/{name}/variant/v",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
    }
    scaling.register_scalable_target(**target, MinCapacity=0, MaxCapacity=2)

    def follow(metric: str, comparison: str, threshold: float, step: dict[str, int]) -> None:
        policy = scaling.put_scaling_policy(
            **target,
            PolicyName=metric,
            PolicyType="StepScaling",
            StepScalingPolicyConfiguration={
                "AdjustmentType": "ExactCapacity",
                "Cooldown": 10,
                "StepAdjustments": [step],
            },
        )["PolicyARN"]
        cloudwatch.put_metric_alarm(
            AlarmName=f"{name}-{metric}",
            Namespace="AWS/SageMaker",
            MetricName=metric,
            Dimensions=[{"Name": "EndpointName", "Value": name}],
            Statistic="Average",
            Period=10,
            EvaluationPeriods=1,
            Threshold=threshold,
            ComparisonOperator=comparison,
            AlarmActions=[policy],
        )

    up = {"MetricIntervalLowerBound": 0, "ScalingAdjustment": 1}
    down = {"MetricIntervalUpperBound": 0, "ScalingAdjustment": 0}
    follow("ApproximateBacklogSize", "LessThanThreshold", 1, down)
    follow("HasBacklogWithoutCapacity", "GreaterThanOrEqualToThreshold", 1, up)

    def count() -> int:
        (variant,) = client.sagemaker.describe_endpoint(EndpointName=name)["ProductionVariants"]
        return int(variant["DesiredInstanceCount"])

    eventually(lambda: count() == 0)
    client.settled(name)
    invoked = client.invoke(name, "wake up")
    assert client.answer(invoked) == {"asked": "wake up"}
    eventually(lambda: count() == 0)
