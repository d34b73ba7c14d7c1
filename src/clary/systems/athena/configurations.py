"""Configurations of work groups: what is honoured is stored, what is not is refused with the reason."""

from collections.abc import Mapping
from typing import Any

from clary.kernel.core.errors import AwsError
from clary.kernel.objects import parse_s3_uri
from clary.kernel.rooms import Context
from clary.systems.athena.records import WorkGroup
from clary.systems.athena.refusals import invalid
from clary.systems.athena.work_groups import ENGINES

_REFUSED = {
    "AdditionalConfiguration": "it is of work groups for Spark, which Clary has none of yet",
    "ExecutionRole": "it is of work groups for Spark or IAM Identity Center: queries act as who starts them",
    "MonitoringConfiguration": "it is of work groups for Spark",
    "EngineConfiguration": "it is of work groups for Spark",
    "CustomerContentEncryptionConfiguration": "Clary has no KMS",
    "IdentityCenterConfiguration": "Clary has no IAM Identity Center",
    "QueryResultsS3AccessGrantsConfiguration": "Clary has no S3 Access Grants",
    "SystemTableStatuses": "Clary has no system tables of Athena",
}
_PLAIN = (
    "EnforceWorkGroupConfiguration",
    "PublishCloudWatchMetricsEnabled",
    "BytesScannedCutoffPerQuery",
    "RequesterPaysEnabled",
    "EnableMinimumEncryptionConfiguration",
)
_RESULTS = ("OutputLocation", "EncryptionConfiguration", "ExpectedBucketOwner", "AclConfiguration")


def check_configuration(ctx: Context, given: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """A new work group's configuration to store, and its engine. Raises InvalidRequestException."""
    _refuse(given)
    plain = {name: given[name] for name in _PLAIN if given.get(name) is not None}
    configuration = {
        "EnforceWorkGroupConfiguration": True,
        "PublishCloudWatchMetricsEnabled": False,
        "RequesterPaysEnabled": False,
        **plain,
        "ResultConfiguration": check_results(ctx, given.get("ResultConfiguration") or {}),
    }
    return configuration, _engine(given, "AUTO")


def updated(ctx: Context, group: WorkGroup, updates: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """The configuration and engine of a work group after updates. Raises InvalidRequestException."""
    _refuse({**updates, "ManagedQueryResultsConfiguration": updates.get("ManagedQueryResultsConfigurationUpdates")})
    configuration = {**group.configuration, **{name: updates[name] for name in _PLAIN if updates.get(name) is not None}}
    if updates.get("RemoveBytesScannedCutoffPerQuery"):
        configuration.pop("BytesScannedCutoffPerQuery", None)
    changes = updates.get("ResultConfigurationUpdates") or {}
    results = dict(configuration.get("ResultConfiguration") or {})
    for name in _RESULTS:
        if changes.get(f"Remove{name}"):
            results.pop(name, None)
        elif changes.get(name) is not None:
            results[name] = changes[name]
    configuration["ResultConfiguration"] = check_results(ctx, results)
    return configuration, _engine(updates, group.engine)


def check_results(ctx: Context, given: Mapping[str, Any]) -> dict[str, Any]:
    """A ResultConfiguration to store. Raises InvalidRequestException for what cannot be done."""
    location = given.get("OutputLocation")
    if location:
        try:
            parse_s3_uri(location)
        except AwsError as error:
            raise invalid(f"OutputLocation: {error.message}") from None
    encryption = given.get("EncryptionConfiguration") or {}
    option, key = encryption.get("EncryptionOption"), encryption.get("KmsKey")
    if option == "CSE_KMS":
        raise invalid("EncryptionOption CSE_KMS is not supported by Clary, which has no KMS: use SSE_S3 or SSE_KMS")
    if option == "SSE_KMS" and not key:
        raise invalid("EncryptionOption SSE_KMS needs a KmsKey")
    if option == "SSE_S3" and key:
        raise invalid("EncryptionOption SSE_S3 takes no KmsKey")
    owner = given.get("ExpectedBucketOwner")
    if owner and owner != ctx.account:
        raise invalid(
            f"ExpectedBucketOwner {owner}: results go to buckets of the account that queries, here {ctx.account}"
        )
    return {name: value for name, value in given.items() if value}


def _engine(given: Mapping[str, Any], current: str) -> str:
    selected = (given.get("EngineVersion") or {}).get("SelectedEngineVersion") or current
    if selected not in ENGINES:
        raise invalid(f"Engine version {selected} is not one of Clary's: {', '.join(ENGINES)}")
    return str(selected)


def _refuse(given: Mapping[str, Any]) -> None:
    for member, why in _REFUSED.items():
        if given.get(member):
            raise invalid(f"{member} is not supported by Clary: {why}")
    if (given.get("ManagedQueryResultsConfiguration") or {}).get("Enabled"):
        raise invalid(
            "ManagedQueryResultsConfiguration is not supported by Clary: there is no storage beside your buckets, give "
            "an OutputLocation"
        )
