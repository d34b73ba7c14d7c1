"""Models made from packages: only from what is approved, as the package was, with what is given beside it."""

from typing import Any

import pytest

from clary.kernel.core.errors import AwsError
from clary.kernel.rooms.resources import containers_of
from clary.support.registry.tests.conftest import ACCOUNT, DATA, IMAGE, REGION, ROLE, SPECIFICATION, Packages, arn


def served(packages: Packages, model: str) -> list[dict[str, Any]]:
    """The containers that endpoints and transform jobs of the model start."""
    ctx = packages.platform.acting_as_root(ACCOUNT, REGION, "sagemaker", "DescribeModel")
    return containers_of(ctx, "sagemaker", "model", model)


def test_a_version_is_deployed_once_it_is_approved(packages: Packages) -> None:
    packages.group("flights")
    container = {
        **SPECIFICATION["Containers"][0],
        "Environment": {"A": "package", "B": "package"},
        "Framework": "XGBOOST",
    }
    packages.version("flights", {"Containers": [container]})
    asked = {"ModelPackageName": arn("flights/1"), "Environment": {"B": "model"}}
    for approval in ("PendingManualApproval", "Rejected"):
        packages.update("flights/1", ModelApprovalStatus=approval)
        with pytest.raises(AwsError, match=f"flights/1 cannot be deployed: its ModelApprovalStatus is {approval}"):
            packages.call("CreateModel", ModelName="approved", PrimaryContainer=asked, ExecutionRoleArn=ROLE)
    packages.update("flights/1", ModelApprovalStatus="Approved")
    packages.call("CreateModel", ModelName="approved", PrimaryContainer=asked, ExecutionRoleArn=ROLE)
    assert packages.call("DescribeModel", ModelName="approved")["PrimaryContainer"] == asked
    packages.call("DeleteModelPackage", ModelPackageName=arn("flights/1"))
    assert served(packages, "approved") == [
        {"Image": IMAGE, "ModelDataUrl": DATA, "Environment": {"A": "package", "B": "model"}}
    ]
    packages.call(
        "CreateTransformJob",
        TransformJobName="by-package",
        ModelName="approved",
        TransformInput={"DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://any/in"}}},
        TransformOutput={"S3OutputPath": "s3://any/out"},
        TransformResources={"InstanceType": "ml.m5.large", "InstanceCount": 1},
    )
    variant = {"VariantName": "v", "ModelName": "approved", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    packages.call("CreateEndpointConfig", EndpointConfigName="config", ProductionVariants=[variant])
    packages.call("CreateEndpoint", EndpointName="endpoint", EndpointConfigName="config")
    packages.group("copies")
    source = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:model/approved"
    with pytest.raises(AwsError, match="flights/1 does not exist"):
        packages.call("CreateModelPackage", ModelPackageGroupName="copies", SourceUri=source)


def test_a_package_of_several_containers_is_a_pipeline(packages: Packages) -> None:
    packages.group("steps")
    several = [{"Image": IMAGE, "ModelDataUrl": DATA, "ContainerHostname": name} for name in ("one", "two")]
    additional = {"Name": "compiled", "Containers": [{"Image": "compiled", "ModelDataUrl": DATA}]}
    packages.version("steps", {"Containers": several}, AdditionalInferenceSpecifications=[additional])
    packages.update("steps/1", ModelApprovalStatus="Approved")
    packages.call("CreateModel", ModelName="pipeline", PrimaryContainer={"ModelPackageName": arn("steps/1")})
    assert served(packages, "pipeline") == several
    chosen = {"ModelPackageName": "steps/1", "InferenceSpecificationName": "compiled"}
    packages.call("CreateModel", ModelName="compiled", Containers=[chosen, {"Image": "other"}])
    assert [container["Image"] for container in served(packages, "compiled")] == ["compiled", "other"]


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"ModelDataUrl": DATA}, "ModelDataUrl cannot be given beside ModelPackageName"),
        ({"Mode": "MultiModel"}, "Mode MultiModel cannot be given"),
        ({"InferenceSpecificationName": "none"}, "has no additional inference specification none"),
        ({"ModelPackageName": "steps/2"}, "steps/2 does not exist"),
        ({"ModelPackageName": "empty/1"}, "has no InferenceSpecification"),
        ({"Environment": {"A": "b"}}, "which has 2 containers"),
    ],
)
def test_what_a_package_cannot_be_deployed_with_is_refused(
    packages: Packages, members: dict[str, Any], said: str
) -> None:
    packages.group("steps")
    packages.group("empty")
    packages.version("steps", {"Containers": [{"Image": IMAGE, "ModelDataUrl": DATA}] * 2})
    packages.call("CreateModelPackage", ModelPackageGroupName="empty")
    for name in ("steps/1", "empty/1"):
        packages.update(name, ModelApprovalStatus="Approved")
    with pytest.raises(AwsError, match=said):
        packages.call("CreateModel", ModelName="refused", PrimaryContainer={"ModelPackageName": "steps/1", **members})
