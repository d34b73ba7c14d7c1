"""Inference components: models that share the instances of an endpoint."""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from clary.kernel.jobs.instance_types import size_of
from clary.systems.endpoints.placement import Need, NoRoom, instances_needed
from clary.systems.endpoints.tests.conftest import ROLE, SKLEARN, XGBOOST, Serving, script_model
from clary.testing import eventually

_GIB = 1024**3
_LARGE = size_of("ml.m5.large")  # 2 CPUs, 8 GiB


def test_copies_are_put_where_there_is_room() -> None:
    one, half = Need(1, _GIB, 0), Need(0.5, 6 * _GIB, 0)
    assert instances_needed([], _LARGE) == 0
    assert instances_needed([(one, 2)], _LARGE) == 1
    assert instances_needed([(one, 3)], _LARGE) == 2
    assert instances_needed([(half, 2), (one, 2)], _LARGE) == 2
    with pytest.raises(NoRoom, match="it needs 4 CPU cores, and an instance has 2"):
        instances_needed([(Need(4, _GIB, 0), 1)], _LARGE)
    with pytest.raises(NoRoom, match="it needs 1 accelerators"):
        instances_needed([(Need(1, _GIB, 1), 0)], _LARGE)


class Components:
    """An endpoint whose instances hold components."""

    def __init__(self, serving: Serving, count: int = 1, **scaling: Any) -> None:
        self.serving = serving
        config = serving.unique("config")
        variant = {"VariantName": "All", "InstanceType": "ml.m5.large", "InitialInstanceCount": count, **scaling}
        serving.sagemaker.create_endpoint_config(
            EndpointConfigName=config, ProductionVariants=[variant], ExecutionRoleArn=ROLE
        )
        self.endpoint = serving.in_service(config)

    def create(self, model: str, copies: int = 1, cpus: float = 1.0, **specification: Any) -> str:
        name = self.serving.unique("component")
        needs = {"NumberOfCpuCoresRequired": cpus, "MinMemoryRequiredInMb": 512}
        self.serving.sagemaker.create_inference_component(
            InferenceComponentName=name,
            EndpointName=self.endpoint,
            VariantName="All",
            Specification={"ModelName": model, "ComputeResourceRequirements": needs, **specification},
            RuntimeConfig={"CopyCount": copies},
        )
        return name

    def describe(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.serving.sagemaker.describe_inference_component(InferenceComponentName=name)
        return found

    def settled(self, name: str) -> dict[str, Any]:
        busy = {"Creating", "Updating", "Deleting"}
        return eventually(
            lambda: found if (found := self.describe(name))["InferenceComponentStatus"] not in busy else None
        )

    def ask(self, name: str, body: str = "[1]") -> Any:
        return json.loads(self.serving.ask(self.endpoint, body, InferenceComponentName=name))

    def delete(self, *names: str) -> None:
        for name in names:
            self.serving.sagemaker.delete_inference_component(InferenceComponentName=name)
        listing = self.serving.sagemaker.list_inference_components
        eventually(lambda: not listing(EndpointNameEquals=self.endpoint)["InferenceComponents"], 180)


@pytest.mark.slow
def test_components_share_an_endpoint(serving_models: Serving) -> None:
    components = Components(serving_models)
    double, triple = [serving_models.model(script_model(f"by-{factor}", factor)) for factor in (2, 3)]
    first, second = components.create(double), components.create(triple)
    assert components.settled(first)["InferenceComponentStatus"] == "InService"
    described = components.settled(second)
    assert described["RuntimeConfig"] == {"DesiredCopyCount": 1, "CurrentCopyCount": 1}
    assert described["Specification"]["ModelName"] == triple
    assert (components.ask(first), components.ask(second)) == ([2], [3])
    with pytest.raises(ClientError, match="InferenceComponentName"):
        serving_models.ask(components.endpoint, "[1]")
    with pytest.raises(ClientError, match="not found on endpoint"):
        components.ask("nobody")

    full = components.settled(components.create(double))
    assert full["InferenceComponentStatus"] == "Failed"
    assert "would need 2 instances" in full["FailureReason"]
    serving_models.sagemaker.delete_inference_component(InferenceComponentName=full["InferenceComponentName"])

    needs = described["Specification"]["ComputeResourceRequirements"]
    changed = {"ModelName": double, "ComputeResourceRequirements": needs}
    serving_models.sagemaker.update_inference_component(InferenceComponentName=second, Specification=changed)
    assert components.settled(second)["Specification"] == changed
    assert components.ask(second) == [2]

    with pytest.raises(ClientError, match="has inference components"):
        serving_models.sagemaker.delete_endpoint(EndpointName=components.endpoint)
    components.delete(first, second)


@pytest.mark.slow
def test_instances_and_copies_follow_each_other(serving_models: Serving, xgboost_model: tuple[bytes, Any, Any]) -> None:
    scaling = {"Status": "ENABLED", "MinInstanceCount": 0, "MaxInstanceCount": 2}
    components = Components(serving_models, 1, ManagedInstanceScaling=scaling)
    data, rows, expected = xgboost_model
    container = {"Image": XGBOOST, "ArtifactUrl": serving_models.store(data)}
    name = serving_models.unique("component")
    needs = {"NumberOfCpuCoresRequired": 2, "MinMemoryRequiredInMb": 512}
    serving_models.sagemaker.create_inference_component(
        InferenceComponentName=name,
        EndpointName=components.endpoint,
        Specification={"Container": container, "ComputeResourceRequirements": needs},
        RuntimeConfig={"CopyCount": 2},
    )
    described = components.settled(name)
    assert described["InferenceComponentStatus"] == "InService", described
    assert described["Specification"]["Container"]["DeployedImage"]["SpecifiedImage"] == XGBOOST

    def instances() -> int:
        return int(serving_models.describe(components.endpoint)["ProductionVariants"][0]["CurrentInstanceCount"])

    eventually(lambda: instances() == 2)
    row = ",".join(map(str, rows[0]))
    answer = serving_models.ask(components.endpoint, row, ContentType="text/csv", InferenceComponentName=name)
    assert float(answer) == pytest.approx(expected[0], rel=1e-5)

    scale = serving_models.sagemaker.update_inference_component_runtime_config
    scale(InferenceComponentName=name, DesiredRuntimeConfig={"CopyCount": 3})
    refused = components.settled(name)
    assert refused["InferenceComponentStatus"] == "InService"
    assert "would need 3 instances" in refused["FailureReason"]
    assert refused["RuntimeConfig"]["DesiredCopyCount"] == 2
    scale(InferenceComponentName=name, DesiredRuntimeConfig={"CopyCount": 0})
    assert components.settled(name)["RuntimeConfig"] == {"DesiredCopyCount": 0, "CurrentCopyCount": 0}
    eventually(lambda: instances() == 0)
    with pytest.raises(ClientError, match="scaled to zero"):
        serving_models.ask(components.endpoint, row, ContentType="text/csv", InferenceComponentName=name)
    components.delete(name)


def test_what_no_component_can_be_is_refused(serving_models: Serving) -> None:
    model = serving_models.model(script_model())
    create = serving_models.sagemaker.create_endpoint_config
    variant = {"VariantName": "All", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    with pytest.raises(ClientError, match="give ExecutionRoleArn"):
        create(EndpointConfigName=serving_models.unique("config"), ProductionVariants=[variant])
    scaling = {"Status": "ENABLED", "MinInstanceCount": 1, "MaxInstanceCount": 2}
    managed = {**variant, "ModelName": model, "ManagedInstanceScaling": scaling}
    with pytest.raises(ClientError, match="is for inference components"):
        create(EndpointConfigName=serving_models.unique("config"), ProductionVariants=[managed])
    components = Components(serving_models)
    with pytest.raises(ClientError, match="either a ModelName or a Container"):
        components.create(model, Container={"Image": SKLEARN})
    with pytest.raises(ClientError, match="BaseInferenceComponentName"):
        components.create(model, BaseInferenceComponentName="base")


@pytest.mark.slow
def test_copies_follow_the_load(serving_models: Serving) -> None:
    components = Components(serving_models)
    name = components.create(serving_models.model(script_model()))
    assert components.settled(name)["InferenceComponentStatus"] == "InService"
    scaling = serving_models.server.client("application-autoscaling")
    target = {
        "ServiceNamespace": "sagemaker",
        "ResourceId": f"inference-component/{name}",
        "ScalableDimension": "sagemaker:inference-component:DesiredCopyCount",
    }
    scaling.register_scalable_target(**target, MinCapacity=0, MaxCapacity=2)
    metric = {"PredefinedMetricType": "SageMakerInferenceComponentInvocationsPerCopy"}
    scaling.put_scaling_policy(
        **target,
        PolicyName="by-load",
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration={"TargetValue": 5.0, "PredefinedMetricSpecification": metric},
    )

    def grown() -> bool:
        assert components.ask(name) == [2]
        return bool(components.describe(name)["RuntimeConfig"]["CurrentCopyCount"] == 2)

    eventually(grown, 180)
    scaling.deregister_scalable_target(**target)
    components.delete(name)
