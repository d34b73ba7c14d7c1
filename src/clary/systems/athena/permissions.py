"""What S3 would ask of a caller."""

from clary.kernel.auth import policies
from clary.kernel.core.arns import partition_of
from clary.kernel.rooms import Context


def require(ctx: Context, action: str, uri: str) -> None:
    """Raise AccessDeniedException unless the caller may do `action` to an object."""
    resource = f"arn:{partition_of(ctx.region)}:s3:::{uri.partition('://')[2]}"
    decision = policies.authorize(ctx.principal, action, resource, {"aws:requestedregion": ctx.region})
    if not decision.allowed:
        raise policies.denied(ctx.principal, action, resource, decision, ctx.operation)
