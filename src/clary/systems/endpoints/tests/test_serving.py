"""Endpoints through an unmodified client, on a real server with real models."""

import json
import threading
from typing import Any

import pytest
from botocore.exceptions import ClientError

from clary.kernel.jobs.folder import hosts
from clary.kernel.rooms import Platform
from clary.systems.endpoints.records import Endpoint
from clary.systems.endpoints.tests.conftest import XGBOOST, Serving, script_model
from clary.testing import eventually


def test_xgboost_answers_as_the_library_does(serving_models: Serving, xgboost_model: tuple[bytes, Any, Any]) -> None:
    data, rows, expected = xgboost_model
    name = serving_models.in_service(serving_models.config(serving_models.model(data, XGBOOST)))
    body = "\n".join(",".join(str(value) for value in row) for row in rows)
    answer = serving_models.ask(name, body, ContentType="text/csv", Accept="text/csv").decode()
    got = [float(value) for value in answer.replace("\n", ",").strip(",").split(",")]
    assert got == pytest.approx(expected, rel=1e-5)


def test_a_script_answers_logs_and_is_measured(serving_models: Serving) -> None:
    name = serving_models.in_service(serving_models.config(serving_models.model(script_model())))
    assert json.loads(serving_models.ask(name, "[1, 2, 3]")) == [2, 4, 6]
    answer = serving_models.runtime.invoke_endpoint(
        EndpointName=name, Body="[5]", ContentType="application/json", TargetVariant="v0", InferenceId="one"
    )
    assert answer["InvokedProductionVariant"] == "v0"
    assert answer["ContentType"] == "application/json"

    variant = serving_models.describe(name)["ProductionVariants"][0]
    assert variant["CurrentInstanceCount"] == variant["DesiredInstanceCount"] == 1
    assert variant["DeployedImages"][0]["SpecifiedImage"]

    streamed = serving_models.runtime.invoke_endpoint_with_response_stream(
        EndpointName=name, Body="[7]", ContentType="application/json"
    )
    assert streamed["InvokedProductionVariant"] == "v0"
    assert b"".join(event["PayloadPart"]["Bytes"] for event in streamed["Body"]) == b"[14]"

    found = serving_models.sagemaker.search(
        Resource="Endpoint",
        SearchExpression={"Filters": [{"Name": "EndpointName", "Operator": "Equals", "Value": name}]},
    )
    assert [one["Endpoint"]["EndpointStatus"] for one in found["Results"]] == ["InService"]

    logs = serving_models.server.client("logs")
    group = f"/aws/sagemaker/Endpoints/{name}"

    def scored() -> bool:
        try:
            events = logs.filter_log_events(logGroupName=group, filterPattern="scoring")["events"]
        except logs.exceptions.ResourceNotFoundException:
            return False  # the server's first line is on its way
        return any(event["logStreamName"].startswith("v0/i-") for event in events)

    eventually(scored)

    cloudwatch = serving_models.server.client("cloudwatch")

    def counted() -> bool:
        found = cloudwatch.get_metric_data(
            MetricDataQueries=[
                {
                    "Id": metric.lower(),
                    "MetricStat": {
                        "Metric": {
                            "Namespace": "AWS/SageMaker",
                            "MetricName": metric,
                            "Dimensions": [
                                {"Name": "EndpointName", "Value": name},
                                {"Name": "VariantName", "Value": "v0"},
                            ],
                        },
                        "Period": 3600,
                        "Stat": "Sum",
                    },
                }
                for metric in ("Invocations", "ModelLatency")
            ],
            StartTime=0,
            EndTime=2_000_000_000,
        )["MetricDataResults"]
        sums = {one["Id"]: sum(one["Values"]) for one in found}
        return sums.get("invocations") == 3 and sums.get("modellatency", 0) > 100

    eventually(counted)


def test_a_pipeline_of_containers_answers_as_one_and_each_directly(serving_models: Serving) -> None:
    steps = [script_model("double", 2), script_model("triple", 3)]
    serial = serving_models.endpoint(serving_models.config(serving_models.pipeline(*steps)))
    direct = serving_models.endpoint(serving_models.config(serving_models.pipeline(*steps, mode="Direct")))
    assert [serving_models.settled(name)["EndpointStatus"] for name in (serial, direct)] == ["InService"] * 2
    assert json.loads(serving_models.ask(serial, "[1, 2]")) == [6, 12]
    with pytest.raises(ClientError, match=r"from step-1 with message .*does not like that"):
        serving_models.ask(serial, '"fail"')
    with pytest.raises(ClientError):
        serving_models.ask(serial, '"crash"')
    assert eventually(lambda: _answered(serving_models, serial)) == [6]
    assert json.loads(serving_models.ask(direct, "[1]", TargetContainerHostname="step-2")) == [3]
    with pytest.raises(ClientError, match="name one of step-1, step-2"):
        serving_models.ask(direct, "[1]")


def test_what_the_model_refuses_is_a_model_error(serving_models: Serving) -> None:
    name = serving_models.in_service(serving_models.config(serving_models.model(script_model())))
    with pytest.raises(ClientError) as caught:
        serving_models.ask(name, '"fail"')
    response = caught.value.response
    assert response["Error"]["Code"] == "ModelError"
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert response["OriginalStatusCode"] == 500
    assert response["LogStreamArn"].endswith(f":log-group:/aws/sagemaker/Endpoints/{name}")
    assert "does not like that" in response["OriginalMessage"]
    with pytest.raises(ClientError) as caught:
        serving_models.ask(name, "x", TargetVariant="nobody")
    assert caught.value.response["Error"]["Code"] == "ValidationError"
    with pytest.raises(ClientError) as caught:
        serving_models.ask(name, "x" * (25 * 1024 * 1024 + 1))
    assert caught.value.response["Error"]["Code"] == "ValidationError"


def test_an_endpoint_that_is_not_there(serving_models: Serving) -> None:
    with pytest.raises(ClientError) as caught:
        serving_models.ask("nowhere", "x")
    assert caught.value.response["Error"] == {
        "Code": "ValidationError",
        "Message": "Endpoint nowhere of account 000000000000 not found.",
    }


def test_a_model_that_does_not_load_fails_with_its_last_words(serving_models: Serving) -> None:
    broken = script_model(script="raise RuntimeError('this script cannot be imported')")
    name = serving_models.endpoint(serving_models.config(serving_models.model(broken)))
    described = serving_models.settled(name)
    assert described["EndpointStatus"] == "Failed"
    assert "did not pass the ping health check" in described["FailureReason"]
    assert "this script cannot be imported" in described["FailureReason"]
    with pytest.raises(ClientError, match="while it is Failed"):
        serving_models.ask(name, "x")


def test_an_image_nobody_knows_fails_with_a_reason(serving_models: Serving) -> None:
    name = serving_models.endpoint(serving_models.config(serving_models.model(script_model(), "unheard-of:latest")))
    described = serving_models.settled(name)
    assert described["EndpointStatus"] == "Failed"
    assert "unheard-of" in described["FailureReason"]


def test_a_crashed_server_is_started_again(serving_models: Serving) -> None:
    name = serving_models.in_service(serving_models.config(serving_models.model(script_model())))
    with pytest.raises(ClientError) as caught:
        serving_models.ask(name, '"crash"')
    assert caught.value.response["Error"]["Code"] == "ModelError"
    assert caught.value.response["OriginalStatusCode"] == 0
    assert eventually(lambda: _answered(serving_models, name)) == [2]
    assert serving_models.describe(name)["EndpointStatus"] == "InService"


def test_an_update_under_load_fails_no_request(serving_models: Serving) -> None:
    first = serving_models.config(serving_models.model(script_model("first")), count=2)
    second = serving_models.config(serving_models.model(script_model("second")))
    name = serving_models.in_service(first)
    stop, failures, answers = threading.Event(), [], []

    def load() -> None:
        while not stop.is_set():
            try:
                answers.append(serving_models.ask(name, '"who"'))
            except ClientError as error:
                failures.append(error)

    threads = [threading.Thread(target=load) for _ in range(2)]
    for thread in threads:
        thread.start()
    eventually(lambda: answers)
    serving_models.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=second)
    described = serving_models.settled(name)
    seen = len(answers)
    eventually(lambda: len(answers) > seen + 20)
    stop.set()
    for thread in threads:
        thread.join()
    assert (described["EndpointStatus"], described["EndpointConfigName"]) == ("InService", second)
    assert failures == []
    assert answers[0] == b'"first"'
    assert answers[-1] == b'"second"'


def test_an_update_that_fails_changes_nothing(serving_models: Serving) -> None:
    name = serving_models.in_service(serving_models.config(serving_models.model(script_model("first"))))
    broken = serving_models.config(serving_models.model(script_model(), "unheard-of:latest"))
    before = serving_models.describe(name)["EndpointConfigName"]
    serving_models.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=broken)
    described = serving_models.settled(name)
    assert (described["EndpointStatus"], described["EndpointConfigName"]) == ("InService", before)
    assert "unheard-of" in described["FailureReason"]
    assert serving_models.ask(name, '"who"') == b'"first"'


def test_weights_and_counts_can_change(serving_models: Serving) -> None:
    one, other = (serving_models.model(script_model(name)) for name in ("one", "other"))
    name = serving_models.in_service(serving_models.config(one, other))
    assert {serving_models.ask(name, '"who"') for _ in range(40)} == {b'"one"', b'"other"'}
    serving_models.sagemaker.update_endpoint_weights_and_capacities(
        EndpointName=name,
        DesiredWeightsAndCapacities=[
            {"VariantName": "v0", "DesiredWeight": 0},
            {"VariantName": "v1", "DesiredInstanceCount": 2},
        ],
    )
    described = serving_models.settled(name)
    assert described["EndpointStatus"] == "InService"
    assert [one["CurrentInstanceCount"] for one in described["ProductionVariants"]] == [1, 2]
    assert {serving_models.ask(name, '"who"') for _ in range(20)} == {b'"other"'}
    assert serving_models.ask(name, '"who"', TargetVariant="v0") == b'"one"'


def test_a_deleted_endpoint_leaves_no_server(serving_models: Serving) -> None:
    name = serving_models.in_service(serving_models.config(serving_models.model(script_model())))
    (job,) = _jobs(serving_models, name)
    serving_models.sagemaker.delete_endpoint(EndpointName=name)

    def gone() -> bool:
        try:
            serving_models.describe(name)
        except ClientError as error:
            return error.response["Error"]["Code"] == "ValidationException"
        return False

    eventually(gone)
    assert (job, "primary") not in list(hosts(serving_models.server.home))
    with pytest.raises(ClientError, match="not found"):
        serving_models.ask(name, "x")


def test_a_network_isolated_model_answers(serving_models: Serving) -> None:
    model = serving_models.model(script_model(), EnableNetworkIsolation=True)
    name = serving_models.in_service(serving_models.config(model))
    assert json.loads(serving_models.ask(name, "[4]")) == [8]


def test_models_and_configurations_read_back(serving_models: Serving) -> None:
    model = serving_models.model(script_model(), Tags=[{"Key": "team", "Value": "red"}])
    described = serving_models.sagemaker.describe_model(ModelName=model)
    assert described["PrimaryContainer"]["ModelDataUrl"].startswith("s3://")
    assert described["EnableNetworkIsolation"] is False
    tags = serving_models.sagemaker.list_tags(ResourceArn=described["ModelArn"])["Tags"]
    assert tags == [{"Key": "team", "Value": "red"}]
    config = serving_models.config(model)
    shown = serving_models.sagemaker.describe_endpoint_config(EndpointConfigName=config)
    assert shown["ProductionVariants"][0]["InitialVariantWeight"] == 1.0
    listed = serving_models.sagemaker.list_models(NameContains=model, SortBy="Name", SortOrder="Ascending")["Models"]
    assert [one["ModelName"] for one in listed] == [model]
    container = {"Image": "sagemaker-xgboost:1", "ModelDataUrl": "s3://models/nothing/here"}
    with pytest.raises(ClientError, match="Cannot create already existing model"):
        serving_models.sagemaker.create_model(ModelName=model, PrimaryContainer={"Image": "x"})
    with pytest.raises(ClientError, match="Could not find model data at s3://models/nothing/here"):
        serving_models.sagemaker.create_model(ModelName="another", PrimaryContainer=container)
    with pytest.raises(ClientError, match="Could not find endpoint configuration"):
        serving_models.sagemaker.create_endpoint(EndpointName="e", EndpointConfigName="nothing")
    with pytest.raises(ClientError, match="Could not find endpoint "):
        serving_models.describe("nothing")
    serving_models.sagemaker.delete_endpoint_config(EndpointConfigName=config)
    serving_models.sagemaker.delete_model(ModelName=model)
    with pytest.raises(ClientError, match="Could not find model"):
        serving_models.sagemaker.describe_model(ModelName=model)


def _answered(serving: Serving, name: str) -> Any:
    try:
        return json.loads(serving.ask(name, "[1]"))
    except ClientError:
        return None


def _jobs(serving: Serving, name: str) -> list[str]:
    platform = Platform(serving.server.settings)
    try:
        entry = platform.records(Endpoint).within("000000000000", "us-east-1").get(name)
        return entry.value.jobs if entry else []
    finally:
        platform.close()
