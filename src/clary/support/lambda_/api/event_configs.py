"""What becomes of asynchronous invocations: how often and how long they are tried, and who is told."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from clary.kernel.rooms import Context, operation
from clary.kernel.store import Entry
from clary.kernel.wire import paginate
from clary.support.lambda_.destinations import check_destination
from clary.support.lambda_.lookup import change, find, version_of
from clary.support.lambda_.names import Named, function_resource, invalid, missing
from clary.support.lambda_.records import LATEST, Function

_SERVICES = ("sqs", "sns", "lambda")


@operation("lambda", "PutFunctionEventInvokeConfig", resource=function_resource)
def put_function_event_invoke_config(
    ctx: Context,
    FunctionName: str,
    Qualifier: str | None = None,
    MaximumRetryAttempts: int | None = None,
    MaximumEventAgeInSeconds: int | None = None,
    DestinationConfig: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Say anew what becomes of asynchronous invocations of a function or one of its qualifiers."""
    return _put(ctx, FunctionName, Qualifier, {}, MaximumRetryAttempts, MaximumEventAgeInSeconds, DestinationConfig)


@operation("lambda", "UpdateFunctionEventInvokeConfig", resource=function_resource)
def update_function_event_invoke_config(
    ctx: Context,
    FunctionName: str,
    Qualifier: str | None = None,
    MaximumRetryAttempts: int | None = None,
    MaximumEventAgeInSeconds: int | None = None,
    DestinationConfig: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Change what is given; the rest stays."""
    named, entry = find(ctx, FunctionName, Qualifier)
    before = _config(named, entry)
    return _put(ctx, FunctionName, Qualifier, before, MaximumRetryAttempts, MaximumEventAgeInSeconds, DestinationConfig)


@operation("lambda", "GetFunctionEventInvokeConfig", resource=function_resource)
def get_function_event_invoke_config(ctx: Context, FunctionName: str, Qualifier: str | None = None) -> dict[str, Any]:
    """What becomes of asynchronous invocations of a function or one of its qualifiers."""
    named, entry = find(ctx, FunctionName, Qualifier)
    return _document(named, _config(named, entry))


@operation("lambda", "ListFunctionEventInvokeConfigs", resource=function_resource)
def list_function_event_invoke_configs(
    ctx: Context, FunctionName: str, Marker: str | None = None, MaxItems: int | None = None
) -> dict[str, Any]:
    """The configurations of all qualifiers of a function."""
    named, entry = find(ctx, FunctionName)
    configs = sorted(entry.value.event_configs.items())
    shown = [_document(named._replace(qualifier=name), config) for name, config in configs]
    return paginate(ctx.operation, {"Marker": Marker, "MaxItems": MaxItems}, shown, key=lambda one: one["FunctionArn"])


@operation("lambda", "DeleteFunctionEventInvokeConfig", resource=function_resource)
def delete_function_event_invoke_config(ctx: Context, FunctionName: str, Qualifier: str | None = None) -> None:
    """Go back to two retries, six hours, and nobody told."""
    named, entry = find(ctx, FunctionName, Qualifier)
    _config(named, entry)
    name = named.qualifier or LATEST

    def decide(entry: Entry[Function]) -> Function:
        kept = {key: one for key, one in entry.value.event_configs.items() if key != name}
        return replace(entry.value, event_configs=kept)

    change(ctx, named._replace(qualifier=""), decide)


def _put(
    ctx: Context,
    function: str,
    qualifier: str | None,
    before: Mapping[str, Any],
    retries: int | None,
    age_seconds: int | None,
    destinations: Mapping[str, Any] | None,
) -> dict[str, Any]:
    named, entry = find(ctx, function, qualifier)
    version_of(ctx, named, entry)
    given = {
        "MaximumRetryAttempts": retries,
        "MaximumEventAgeInSeconds": age_seconds,
        "DestinationConfig": None if destinations is None else _destinations(named, destinations),
    }
    made = {
        **before,
        **{name: value for name, value in given.items() if value is not None},
        "LastModified": ctx.platform.clock.now(),
    }

    def decide(entry: Entry[Function]) -> Function:
        return replace(entry.value, event_configs={**entry.value.event_configs, named.qualifier or LATEST: made})

    change(ctx, named._replace(qualifier=""), decide)
    return _document(named, made)


def _destinations(named: Named, given: Mapping[str, Any]) -> dict[str, Any]:
    found = {}
    for side in ("OnSuccess", "OnFailure"):
        arn = (given.get(side) or {}).get("Destination")
        if arn:
            check_destination(arn, _SERVICES, f"destination {side}")
            if arn.startswith(named._replace(qualifier="").arn + ":") or arn == named._replace(qualifier="").arn:
                raise invalid("You can't specify the function as a destination for itself.")
            found[side] = {"Destination": arn}
        else:
            found[side] = {}
    return found


def _config(named: Named, entry: Entry[Function]) -> dict[str, Any]:
    found = entry.value.event_configs.get(named.qualifier or LATEST)
    if found is None:
        arn = named._replace(qualifier=named.qualifier or LATEST).arn
        raise missing(f"The function {arn} doesn't have an EventInvokeConfig")
    return found


def _document(named: Named, config: Mapping[str, Any]) -> dict[str, Any]:
    arn = named._replace(qualifier=named.qualifier or LATEST).arn
    return {"FunctionArn": arn, "DestinationConfig": {"OnSuccess": {}, "OnFailure": {}}, **config}
