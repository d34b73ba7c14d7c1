"""The streams of Kinesis that delivery streams read."""

from collections.abc import Mapping
from typing import Any

from clary.kernel.core.arns import Arn, parse_arn
from clary.kernel.core.errors import AwsError
from clary.kernel.core.ids import new_uuid
from clary.kernel.rooms import Context, Platform
from clary.kernel.rooms.roles import role_principal
from clary.systems.firehose.refusals import invalid


def check_source(ctx: Context, source: Mapping[str, str], roles: Mapping[str, str]) -> None:
    """Raise InvalidArgumentException unless the stream is there and the role may read it."""
    arn = parse_arn(source["KinesisStreamARN"])
    try:
        call_as(ctx.platform, roles[source["RoleARN"]], arn, "DescribeStreamSummary", StreamARN=str(arn))
    except AwsError as error:
        raise invalid(f"Kinesis stream {arn} cannot be read as {source['RoleARN']}: {error}") from None


def call_as(platform: Platform, role: str, arn: Arn, operation: str, **params: Any) -> dict[str, Any]:
    """Call the service of an ARN in its region, as an acting role. Blocks."""
    model = platform.registry.model(arn.service, operation)
    ctx = Context(platform, model, role_principal(platform, role), arn.account, arn.region, new_uuid())
    return platform.registry.call(ctx, params)
