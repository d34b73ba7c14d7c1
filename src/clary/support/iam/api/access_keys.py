"""Access keys of users and of the account's root."""

from typing import Any

from clary.kernel.auth.records import AccessKey
from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Context, operation
from clary.kernel.store import Entry
from clary.support.iam.api.users import calling_user
from clary.support.iam.entities import found, users
from clary.support.iam.listing import cut

_USER = "user/{UserName}"
_MAX_KEYS = 2


@operation("iam", "CreateAccessKey", resource=_USER)
def create_access_key(ctx: Context, UserName: str | None = None) -> dict[str, Any]:
    """Make a key pair. The secret is told this once."""
    user = _owner(ctx, UserName)
    keys = ctx.platform.keys
    if len(keys.of(ctx.account, user)) >= _MAX_KEYS:
        raise AwsError("LimitExceeded", f"Cannot exceed quota for AccessKeysPerUser: {_MAX_KEYS}")
    entry = keys.create(ctx.account, user=user)
    return {"AccessKey": {**_describe(entry), "SecretAccessKey": entry.value.secret}}


@operation("iam", "ListAccessKeys", resource=_USER)
def list_access_keys(
    ctx: Context, UserName: str | None = None, Marker: str | None = None, MaxItems: int | None = None
) -> dict[str, Any]:
    entries = ctx.platform.keys.of(ctx.account, _owner(ctx, UserName))
    shown, more = cut(entries, lambda entry: entry.name, Marker, MaxItems)
    return {"AccessKeyMetadata": [_describe(entry) for entry in shown], **more}


@operation("iam", "UpdateAccessKey", resource=_USER)
def update_access_key(ctx: Context, AccessKeyId: str, Status: str, UserName: str | None = None) -> None:
    if Status not in {"Active", "Inactive"}:
        raise AwsError("ValidationError", f"Status must be Active or Inactive, not {Status}.")
    _key(ctx, AccessKeyId, UserName)
    ctx.platform.keys.set_active(AccessKeyId, Status == "Active")


@operation("iam", "DeleteAccessKey", resource=_USER)
def delete_access_key(ctx: Context, AccessKeyId: str, UserName: str | None = None) -> None:
    _key(ctx, AccessKeyId, UserName)
    ctx.platform.keys.delete(AccessKeyId)


def _owner(ctx: Context, user: str | None) -> str:
    """Whose keys are meant: the user named, else the caller; "" for the root."""
    if user is not None:
        return found(users(ctx), "user", user).name
    return "" if ctx.principal.kind == "root" else calling_user(ctx)


def _key(ctx: Context, access_key: str, user: str | None) -> Entry[AccessKey]:
    owner = _owner(ctx, user)
    for entry in ctx.platform.keys.of(ctx.account, owner):
        if entry.name == access_key:
            return entry
    raise AwsError("NoSuchEntity", f"The Access Key with id {access_key} cannot be found.")


def _describe(entry: Entry[AccessKey]) -> dict[str, Any]:
    return {
        "UserName": entry.value.user or "root",
        "AccessKeyId": entry.name,
        "Status": entry.status,
        "CreateDate": entry.created_at,
    }
