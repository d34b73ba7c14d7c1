"""Concurrency: set aside for a function, kept warm for a version, and what the account has."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Context, operation
from clary.kernel.store import Entry
from clary.kernel.wire import paginate
from clary.support.lambda_.cards import DOMAIN, build_of
from clary.support.lambda_.code import MOST_UNZIPPED_BYTES, MOST_ZIPPED_BYTES
from clary.support.lambda_.documents import stamp
from clary.support.lambda_.fleets import ACCOUNT_CONCURRENCY
from clary.support.lambda_.instances import instances_of, kept_key
from clary.support.lambda_.lookup import TOPIC, change, find, version_of
from clary.support.lambda_.names import Named, function_resource, invalid
from clary.support.lambda_.records import LATEST, Function, LayerVersion, Version

_LEAST_UNRESERVED = 100
_STORAGE_BYTES = 75 * 1024**3


@operation("lambda", "PutFunctionConcurrency", resource=function_resource)
def put_function_concurrency(ctx: Context, FunctionName: str, ReservedConcurrentExecutions: int) -> dict[str, Any]:
    """Set concurrency aside for a function, which then has no more than that; with 0, nobody can invoke it."""
    named, entry = find(ctx, FunctionName)
    others = _reserved(ctx) - (entry.value.reserved or 0)
    if ACCOUNT_CONCURRENCY - others - ReservedConcurrentExecutions < _LEAST_UNRESERVED:
        raise invalid(
            "Specified ReservedConcurrentExecutions for function decreases account's "
            f"UnreservedConcurrentExecution below its minimum value of [{_LEAST_UNRESERVED}]."
        )
    change(ctx, named, lambda entry: replace(entry.value, reserved=ReservedConcurrentExecutions))
    return {"ReservedConcurrentExecutions": ReservedConcurrentExecutions}


@operation("lambda", "GetFunctionConcurrency", resource=function_resource)
def get_function_concurrency(ctx: Context, FunctionName: str) -> dict[str, Any]:
    """The concurrency set aside for a function; nothing when there is none."""
    _, entry = find(ctx, FunctionName)
    return {} if entry.value.reserved is None else {"ReservedConcurrentExecutions": entry.value.reserved}


@operation("lambda", "DeleteFunctionConcurrency", resource=function_resource)
def delete_function_concurrency(ctx: Context, FunctionName: str) -> None:
    """Let a function share what the account has left."""
    named, _ = find(ctx, FunctionName)
    change(ctx, named, lambda entry: replace(entry.value, reserved=None))


@operation("lambda", "PutProvisionedConcurrencyConfig", resource=function_resource)
def put_provisioned_concurrency_config(
    ctx: Context, FunctionName: str, Qualifier: str, ProvisionedConcurrentExecutions: int
) -> dict[str, Any]:
    """Keep so many instances of a version warm, or of the version that an alias leads to."""
    named, entry = find(ctx, FunctionName, Qualifier)
    version_of(ctx, named, entry)
    if named.qualifier == LATEST:
        raise invalid("Provisioned Concurrency Configs cannot be applied to unpublished function versions.")
    made = {"count": ProvisionedConcurrentExecutions, "modified_at": ctx.platform.clock.now()}

    def decide(entry: Entry[Function]) -> Function:
        provisioned = {**entry.value.provisioned, named.qualifier: made}
        total, reserved = sum(one["count"] for one in provisioned.values()), entry.value.reserved
        if reserved is not None and total > reserved:
            raise invalid(
                "Requested Provisioned Concurrency should not be greater than the "
                f"reservedConcurrentExecution for function: {total} of {reserved}."
            )
        return replace(entry.value, provisioned=provisioned)

    key = kept_key(named.key)
    ctx.platform.kv(DOMAIN).write(lambda transaction: transaction.put(key, b""))
    return _provisioned(ctx, named, change(ctx, named._replace(qualifier=""), decide))


@operation("lambda", "GetProvisionedConcurrencyConfig", resource=function_resource)
def get_provisioned_concurrency_config(ctx: Context, FunctionName: str, Qualifier: str) -> dict[str, Any]:
    """How many instances are to be kept warm, and how many are."""
    named, entry = find(ctx, FunctionName, Qualifier)
    return _provisioned(ctx, named, entry)


@operation("lambda", "ListProvisionedConcurrencyConfigs", resource=function_resource)
def list_provisioned_concurrency_configs(
    ctx: Context, FunctionName: str, Marker: str | None = None, MaxItems: int | None = None
) -> dict[str, Any]:
    """What is kept warm for a function, by qualifier."""
    named, entry = find(ctx, FunctionName)
    shown = [
        {"FunctionArn": one.arn, **_provisioned(ctx, one, entry)}
        for one in (named._replace(qualifier=name) for name in sorted(entry.value.provisioned))
    ]
    return paginate(ctx.operation, {"Marker": Marker, "MaxItems": MaxItems}, shown, key=lambda one: one["FunctionArn"])


@operation("lambda", "DeleteProvisionedConcurrencyConfig", resource=function_resource)
def delete_provisioned_concurrency_config(ctx: Context, FunctionName: str, Qualifier: str) -> None:
    """Keep no more instances warm for this qualifier."""
    named, _ = find(ctx, FunctionName, Qualifier)

    def decide(entry: Entry[Function]) -> Function:
        kept = {key: one for key, one in entry.value.provisioned.items() if key != named.qualifier}
        return replace(entry.value, provisioned=kept)

    change(ctx, named._replace(qualifier=""), decide)


@operation("lambda", "GetAccountSettings")
def get_account_settings(ctx: Context) -> dict[str, Any]:
    """The limits of the account in the region, and how much of them is used."""
    functions = ctx.records(Function).all()
    codes = [
        *(entry.value.code for entry in functions),
        *(entry.value.code for entry in ctx.records(Version).all()),
        *(entry.value.code for entry in ctx.records(LayerVersion).all()),
    ]
    sizes: Mapping[str, int] = {code["uri"]: code["size"] for code in codes}
    return {
        "AccountLimit": {
            "TotalCodeSize": _STORAGE_BYTES,
            "CodeSizeUnzipped": MOST_UNZIPPED_BYTES,
            "CodeSizeZipped": MOST_ZIPPED_BYTES,
            "ConcurrentExecutions": ACCOUNT_CONCURRENCY,
            "UnreservedConcurrentExecutions": ACCOUNT_CONCURRENCY - _reserved(ctx),
        },
        "AccountUsage": {"TotalCodeSize": sum(sizes.values()), "FunctionCount": len(functions)},
    }


def _reserved(ctx: Context) -> int:
    return sum(entry.value.reserved or 0 for entry in ctx.records(Function).all())


def _provisioned(ctx: Context, named: Named, entry: Entry[Function]) -> dict[str, Any]:
    config = entry.value.provisioned.get(named.qualifier)
    if config is None:
        raise AwsError(
            "ProvisionedConcurrencyConfigNotFoundException",
            "No Provisioned Concurrency Config found for this function",
            status=404,
            members={"Type": "User"},
        )
    number, value = version_of(ctx, named, entry)
    kind = f"{number}:{build_of(number, value.revision)}"
    there = [one for one in instances_of(ctx.platform.kv(DOMAIN), named.key) if one.kind == kind and not one.leaving]
    ready = sum(one.healthy_at is not None and one.silent_since is None for one in there)
    if ready < config["count"]:
        ctx.platform.wake(TOPIC, named.key)
    return {
        "RequestedProvisionedConcurrentExecutions": config["count"],
        "AllocatedProvisionedConcurrentExecutions": min(ready, config["count"]),
        "AvailableProvisionedConcurrentExecutions": min(ready, config["count"]),
        "Status": "READY" if ready >= config["count"] else "IN_PROGRESS",
        "LastModified": stamp(config["modified_at"]),
    }
