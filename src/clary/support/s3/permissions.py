"""What the gate does not ask, since it knows one action and one resource: sources, versions, keys in documents."""

from clary.kernel.auth import policies
from clary.kernel.rooms import Context


def require(ctx: Context, action: str, bucket: str, key: str, version_id: str | None = None) -> None:
    """Raise AccessDenied unless the caller may do `action` to an object, or `<action>Version` to a version of it."""
    asked = action if version_id is None else f"{action}Version"
    resource = f"arn:aws:s3:::{bucket}/{key}"
    decision = policies.authorize(ctx.principal, asked, resource, {"aws:requestedregion": ctx.region})
    if not decision.allowed:
        raise policies.denied(ctx.principal, asked, resource, decision, ctx.operation)


def require_version(ctx: Context, action: str, bucket: str, key: str, version_id: str | None) -> None:
    """Raise AccessDenied when a version is named that the caller may not do `action` to."""
    if version_id is not None:
        require(ctx, action, bucket, key, version_id)
