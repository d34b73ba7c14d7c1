"""What only endpoints have that take their requests from a queue, and what only the others have."""

from collections.abc import Mapping, Sequence
from typing import Any

from clary.kernel.core.arns import parse_arn
from clary.kernel.core.errors import not_supported, validation
from clary.kernel.kv import KeyValue
from clary.kernel.objects.uri import normal_s3_uri
from clary.kernel.serving.holds import held_until
from clary.systems.endpoints.deploy import DELETING
from clary.systems.endpoints.instances import instance_of
from clary.systems.endpoints.records import Endpoint, Model
from clary.systems.endpoints.servers import serves_many

_TOPICS = {"SUCCESS_NOTIFICATION_TOPIC": "SuccessTopic", "ERROR_NOTIFICATION_TOPIC": "ErrorTopic"}

SERVER_ENVIRONMENT = {"SAGEMAKER_MODEL_SERVER_TIMEOUT": "3600", "MAX_CONTENT_LENGTH": str(1 << 30)}
"""What model servers of asynchronous endpoints are given, since their requests may be long and large."""


def check_asynchronous(
    config: Mapping[str, Any], variants: Sequence[Mapping[str, Any]], models: Mapping[str, Model]
) -> None:
    """Raise ValidationException for an AsyncInferenceConfig, or variants with one, that no endpoint can have.

    `models` holds the models of variants that have one, by the variants' names.
    """
    output = config["OutputConfig"]
    for member in ("S3OutputPath", "S3FailurePath"):
        if output.get(member):
            normal_s3_uri(output[member], member)
    notification = output.get("NotificationConfig", {})
    for member in _TOPICS.values():
        if notification.get(member):
            parse_arn(notification[member])
    included = notification.get("IncludeInferenceResponseIn", ())
    for kind in included:
        if not notification.get(_TOPICS[kind]):
            raise validation(f"IncludeInferenceResponseIn {kind} needs {_TOPICS[kind]}.")
    if not output.get("S3OutputPath") and "SUCCESS_NOTIFICATION_TOPIC" not in included:
        raise validation(
            "OutputConfig needs S3OutputPath, or a SuccessTopic with IncludeInferenceResponseIn "
            "SUCCESS_NOTIFICATION_TOPIC: else nobody would get the answers."
        )
    for variant in variants:
        name = variant["VariantName"]
        if "ServerlessConfig" in variant:
            raise validation(f"Variant {name} is serverless: leave out AsyncInferenceConfig.")
        if name not in models:
            raise validation(f"Variant {name} is for inference components: leave out AsyncInferenceConfig.")
        if models[name].mode == "Direct":
            raise not_supported(
                f"AsyncInferenceConfig with the model of variant {name}",
                "its containers are invoked directly, and InvokeEndpointAsync names no container.",
            )
        if any(serves_many(container) for container in models[name].containers):
            raise validation(f"The model of variant {name} is of Mode MultiModel: leave out AsyncInferenceConfig.")


def refuse_copies(shadows: Sequence[Mapping[str, Any]], capture: Mapping[str, Any] | None) -> None:
    """Raise ValidationException for copies of requests, which are not made of those in a queue."""
    if shadows:
        raise validation("ShadowProductionVariants do not go with AsyncInferenceConfig: leave one of them out.")
    if capture and capture.get("EnableCapture", True):
        raise not_supported(
            "DataCaptureConfig with AsyncInferenceConfig", "inputs and answers stand in S3 already; leave it out."
        )


def require_instances(wanted: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise ValidationException when a variant is to have no instance, where requests do not wait in a queue."""
    for name, item in wanted.items():
        if item.get("DesiredInstanceCount") == 0:
            raise validation(
                f"DesiredInstanceCount of variant {name} must be at least 1: only variants of endpoints with an "
                "AsyncInferenceConfig can have 0 instances."
            )


def held_jobs(kv: KeyValue, endpoint: Endpoint, now: float) -> set[str]:
    """The jobs that are to leave, and not before a long request on them is over.

    An endpoint's end waits for none, nor do attempts that were given up, whose instances go on.
    """
    if endpoint.status == DELETING:
        return set()
    staying = {instance.id for fleet in endpoint.fleets for instance in fleet.instances}
    over = [leaving.job for leaving in endpoint.leaving if leaving.leave_at <= now]
    leaving = [job for job in over if instance_of(job) not in staying]
    return {job for job in leaving if held_until(kv, instance_of(job)) > now}
