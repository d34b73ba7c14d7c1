"""The account as a whole: its alias and a count of what is in it."""

from typing import Any

from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Context, operation
from clary.kernel.store import AlreadyExists
from clary.support.iam import records
from clary.support.iam.entities import groups, policies, roles, users
from clary.support.iam.listing import cut


@operation("iam", "GetAccountSummary")
def get_account_summary(ctx: Context) -> dict[str, Any]:
    own_keys = ctx.platform.keys.of(ctx.account)
    summary = {
        "Users": users(ctx).count(),
        "Roles": roles(ctx).count(),
        "Groups": groups(ctx).count(),
        "Policies": policies(ctx).count(),
        "PolicyVersionsInUse": sum(len(entry.value.versions) for entry in policies(ctx).all()),
        "AccountAccessKeysPresent": len(own_keys),
        "AccountMFAEnabled": 0,
        "AccessKeysPerUserQuota": 2,
        "AttachedPoliciesPerUserQuota": 20,
        "AttachedPoliciesPerRoleQuota": 20,
        "AttachedPoliciesPerGroupQuota": 20,
        "VersionsPerPolicyQuota": 5,
    }
    return {"SummaryMap": summary}


@operation("iam", "CreateAccountAlias")
def create_account_alias(ctx: Context, AccountAlias: str) -> None:
    """Give the account an alias in place of the one it had."""
    aliases = ctx.records(records.AccountAlias)
    try:
        aliases.create(AccountAlias, records.AccountAlias(ctx.account), parent=ctx.account)
    except AlreadyExists:
        raise AwsError("EntityAlreadyExists", f"The account alias {AccountAlias} already exists.") from None
    for entry in aliases.all(parent=ctx.account):
        if entry.name != AccountAlias:
            aliases.delete(entry.name)


@operation("iam", "DeleteAccountAlias")
def delete_account_alias(ctx: Context, AccountAlias: str) -> None:
    entry = ctx.records(records.AccountAlias).get(AccountAlias)
    if entry is None or entry.value.account != ctx.account:
        raise AwsError("NoSuchEntity", f"The account alias {AccountAlias} cannot be found.")
    ctx.records(records.AccountAlias).delete(AccountAlias)


@operation("iam", "ListAccountAliases")
def list_account_aliases(ctx: Context, Marker: str | None = None, MaxItems: int | None = None) -> dict[str, Any]:
    names = [entry.name for entry in ctx.records(records.AccountAlias).all(parent=ctx.account)]
    shown, more = cut(names, str, Marker, MaxItems)
    return {"AccountAliases": shown, **more}
