"""What Lambda steps run: make a model of an approved model package, or an endpoint of it at once."""

import boto3

sagemaker = boto3.client("sagemaker")


def make_model(event: dict, _: object) -> dict:
    sagemaker.create_model(
        ModelName=event["name"], ExecutionRoleArn=event["role"], Containers=[{"ModelPackageName": event["package"]}]
    )
    return {"model": event["name"]}


def deploy(event: dict, context: object) -> dict:
    name = make_model(event, context)["model"]
    variant = {"VariantName": "AllTraffic", "ModelName": name, "InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    return {"endpoint": name}
