"""Dashboards: kept as clients write them, once for an account, in whatever region they ask."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Context, operation
from clary.kernel.rooms.tags import read_tags, tags_with
from clary.kernel.store import AlreadyExists
from clary.support.cloudwatch.data import invalid_value
from clary.support.cloudwatch.records import Dashboard
from clary.support.cloudwatch.tagged import forget
from clary.support.cloudwatch.tokens import read_token, write_token

_NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")
_DASHBOARDS_A_PAGE = 1_000


@operation("cloudwatch", "PutDashboard", resource="{DashboardName}")
def put_dashboard(
    ctx: Context, DashboardName: str, DashboardBody: str, Tags: Sequence[Mapping[str, str]] | None = None
) -> dict[str, Any]:
    """Create a dashboard, or overwrite the body of one. Tags count at creation alone."""
    if _NAME.fullmatch(DashboardName) is None:
        raise invalid_value(
            f"The value {DashboardName} for field DashboardName contains invalid characters. It can only contain "
            "alphanumerics, dash (-) and underscore (_)."
        )
    _check_body(DashboardBody)
    dashboards = ctx.records(Dashboard)
    try:
        tags = tags_with(ctx, _arn(ctx, DashboardName), read_tags(Tags))
        dashboards.create(DashboardName, Dashboard(DashboardBody), also=tags)
    except AlreadyExists:
        dashboards.put(DashboardName, Dashboard(DashboardBody))
    return {"DashboardValidationMessages": []}


@operation("cloudwatch", "GetDashboard", resource="{DashboardName}")
def get_dashboard(ctx: Context, DashboardName: str) -> dict[str, Any]:
    """A dashboard's body, as it was put."""
    entry = ctx.records(Dashboard).get(DashboardName)
    if entry is None:
        raise _missing(DashboardName)
    return {
        "DashboardArn": _arn(ctx, DashboardName),
        "DashboardBody": entry.value.body,
        "DashboardName": DashboardName,
    }


@operation("cloudwatch", "ListDashboards")
def list_dashboards(
    ctx: Context, DashboardNamePrefix: str | None = None, NextToken: str | None = None
) -> dict[str, Any]:
    """Dashboards by name, 1,000 a page."""
    after = (read_token(NextToken) or b"").decode(errors="replace")
    found = [entry for entry in ctx.records(Dashboard).all(name_prefix=DashboardNamePrefix) if entry.name > after]
    page = found[:_DASHBOARDS_A_PAGE]
    return {
        "DashboardEntries": [
            {
                "DashboardName": entry.name,
                "DashboardArn": _arn(ctx, entry.name),
                "LastModified": entry.updated_at,
                "Size": len(entry.value.body.encode()),
            }
            for entry in page
        ],
        "NextToken": write_token(page[-1].name.encode()) if len(found) > len(page) else None,
    }


@operation("cloudwatch", "DeleteDashboards")
def delete_dashboards(ctx: Context, DashboardNames: Sequence[str]) -> None:
    """Remove dashboards; like AWS, none of them when one is missing."""
    dashboards = ctx.records(Dashboard)
    for name in DashboardNames:
        if dashboards.get(name) is None:
            raise _missing(name)
    for name in DashboardNames:
        forget(ctx, dashboards, name, _arn(ctx, name))


def _arn(ctx: Context, name: str) -> str:
    return ctx.arn(f"dashboard/{name}", service="cloudwatch", region="")


def _missing(name: str) -> AwsError:
    return AwsError("ResourceNotFound", f"Dashboard {name} does not exist", status=404)


def _check_body(body: str) -> None:
    """Raise unless a body is a JSON object with a list of widgets, if any."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise _invalid_body(f"The field DashboardBody must be a valid JSON object: {error}") from None
    if not isinstance(document, dict) or not isinstance(document.get("widgets", []), list):
        raise _invalid_body("The field DashboardBody must be a JSON object, whose widgets are a list.")


def _invalid_body(message: str) -> AwsError:
    found = [{"DataPath": "/", "Message": message}]
    return AwsError("InvalidParameterInput", message, members={"dashboardValidationMessages": found})
