"""Updates that move the traffic in steps, watched through an unmodified client, under load and with alarms."""

import http.client
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import ClientError

from clary.kernel.jobs.folder import HostFolder, hosts
from clary.systems.endpoints.tests.conftest import Serving, script_model
from clary.systems.endpoints.tests.test_serving import _jobs
from clary.testing import eventually

pytestmark = pytest.mark.slow

PATIENCE_SECONDS = 300.0  # a busy machine takes its time to start servers
THREADS = 4
PAUSE_SECONDS = THREADS / 200  # so that some 200 requests a second are sent


class Load:
    """Requests to an endpoint, one after another in a few threads; what came back is counted by status and body."""

    def __init__(self, serving: Serving, endpoint: str) -> None:
        self.answers: Counter[tuple[int, bytes]] = Counter()
        self._port = int(serving.server.endpoint.rsplit(":", 1)[1])
        self._path = f"/endpoints/{endpoint}/invocations"
        self._headers = self._signed(serving)
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(THREADS)]

    def _signed(self, serving: Serving) -> dict[str, str]:
        url = f"http://127.0.0.1:{self._port}{self._path}"
        request = AWSRequest("POST", url, {"Content-Type": "application/json"}, b'"who"')
        credentials = serving.runtime._request_signer._credentials
        SigV4Auth(credentials, "sagemaker", "us-east-1").add_auth(request)
        return dict(request.headers.items())

    def _run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        while not self._stop.wait(PAUSE_SECONDS):
            try:
                connection.request("POST", self._path, b'"who"', self._headers)
                answer = connection.getresponse()
                self.answers[answer.status, answer.read()] += 1
            except OSError as error:
                self.answers[0, repr(error).encode()] += 1
                connection.close()
        connection.close()

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def share(self, body: bytes, over: int = 300) -> float:
        """The part that `body` is of the next `over` answers."""
        before = Counter(self.answers)
        eventually(lambda: self.answers.total() >= before.total() + over, PATIENCE_SECONDS)
        lately = self.answers - before
        return lately[200, body] / lately.total()


def blue_green(kind: str, wait: int, alarm: str = "", **members: Any) -> dict[str, Any]:
    routing = {"Type": kind, "WaitIntervalInSeconds": wait, **members}
    watch = {"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": alarm}]}} if alarm else {}
    return {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing}, **watch}


def stage(serving: Serving, name: str) -> str:
    """The VariantStatus of what is being deployed."""
    pending = serving.describe(name).get("PendingDeploymentSummary")
    return str(pending["ProductionVariants"][0]["VariantStatus"][0]["Status"]) if pending else ""


def running(serving: Serving, jobs: list[str]) -> list[str]:
    found = [(job, HostFolder(serving.server.home, job, host).observe()) for job, host in hosts(serving.server.home)]
    return [job for job, seen in found if job in jobs and seen is not None and not seen.ended]


def test_a_canary_under_load_fails_no_request_and_the_old_fleet_goes(serving_models: Serving) -> None:
    first = serving_models.config(serving_models.model(script_model("first")), count=2)
    second = serving_models.config(serving_models.model(script_model("second")), count=2)
    name = serving_models.in_service(first)
    old = list(_jobs(serving_models, name))
    config = blue_green("CANARY", 10, CanarySize={"Type": "CAPACITY_PERCENT", "Value": 30})
    with Load(serving_models, name) as load:
        eventually(lambda: load.answers[200, b'"first"'] > 50, PATIENCE_SECONDS)
        serving_models.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=second, DeploymentConfig=config)
        eventually(lambda: stage(serving_models, name) == "Baking", PATIENCE_SECONDS)
        assert 0.15 < load.share(b'"second"') < 0.5, "a canary of 30 %"
        described = eventually(lambda: finished(serving_models, name), PATIENCE_SECONDS)
        assert load.share(b'"second"', 50) == 1
        eventually(lambda: not running(serving_models, old), PATIENCE_SECONDS)
        assert load.share(b'"second"', 50) == 1
    assert (described["EndpointStatus"], described["EndpointConfigName"]) == ("InService", second)
    assert described["LastDeploymentConfig"] == config
    assert {answer for answer in load.answers if load.answers[answer]} == {(200, b'"first"'), (200, b'"second"')}


def finished(serving: Serving, name: str) -> dict[str, Any] | None:
    described = serving.describe(name)
    return described if described["EndpointStatus"] == "InService" else None


def test_updates_that_are_taken_back(serving_models: Serving, unique: Callable[[str], str]) -> None:
    cloudwatch = serving_models.server.client("cloudwatch")
    alarm = unique("errors")
    first = serving_models.config(serving_models.model(script_model("first")), count=2)
    second = serving_models.config(serving_models.model(script_model("second")), count=2)
    broken = serving_models.config(
        serving_models.model(script_model(script="raise RuntimeError('this script cannot be imported')")), count=2
    )
    name = serving_models.in_service(first)
    size = {"Type": "INSTANCE_COUNT", "Value": 1}

    def update(config: str, deployment: dict[str, Any]) -> None:
        serving_models.sagemaker.update_endpoint(
            EndpointName=name, EndpointConfigName=config, DeploymentConfig=deployment
        )

    with pytest.raises(ClientError, match=f'Could not find CloudWatch alarm "{alarm}"'):
        update(second, blue_green("CANARY", 3600, alarm, CanarySize=size))
    with pytest.raises(ClientError, match="CanarySize is 2 instances of 2 of variant v0"):
        update(second, blue_green("CANARY", 3600, CanarySize=size | {"Value": 2}))

    rolling = {"RollingUpdatePolicy": {"MaximumBatchSize": size, "WaitIntervalInSeconds": 0}}
    update(broken, rolling)
    described = eventually(lambda: finished(serving_models, name), PATIENCE_SECONDS)
    assert described["EndpointConfigName"] == first
    assert "this script cannot be imported" in described["FailureReason"]

    cloudwatch.put_metric_alarm(
        AlarmName=alarm,
        Namespace="AWS/SageMaker",
        MetricName="Invocation5XXErrors",
        Dimensions=[{"Name": "EndpointName", "Value": name}, {"Name": "VariantName", "Value": "v0"}],
        Statistic="Average",
        Period=60,
        EvaluationPeriods=1,
        Threshold=0.5,
        ComparisonOperator="GreaterThanThreshold",
        TreatMissingData="ignore",
    )
    update(second, blue_green("CANARY", 3600, alarm, CanarySize=size))
    with pytest.raises(ClientError, match="Cannot update in-progress endpoint"):
        serving_models.sagemaker.update_endpoint_weights_and_capacities(
            EndpointName=name, DesiredWeightsAndCapacities=[{"VariantName": "v0", "DesiredWeight": 2}]
        )
    eventually(lambda: stage(serving_models, name) == "Baking", PATIENCE_SECONDS)
    eventually(lambda: serving_models.ask(name, '"who"') == b'"second"', PATIENCE_SECONDS)
    told = serving_models.describe(name)["PendingDeploymentSummary"]["ProductionVariants"][0]["VariantStatus"][0]
    assert told["StatusMessage"] == (
        f"50 % of the traffic goes to the new fleet. It bakes for 3600 s. Watching {alarm}."
    )
    cloudwatch.set_alarm_state(AlarmName=alarm, StateValue="ALARM", StateReason="so says the test")
    described = eventually(lambda: finished(serving_models, name), PATIENCE_SECONDS)
    assert described["EndpointConfigName"] == first
    assert described["FailureReason"] == f'CloudWatch alarm "{alarm}" is in state ALARM: so says the test'
    assert {serving_models.ask(name, '"who"') for _ in range(20)} == {b'"first"'}
