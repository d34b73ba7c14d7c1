"""What this room stores beside the users, roles, groups, policies and keys, whose records are the kernel's
(`clary.kernel.auth.records`): every request is checked against those."""

from dataclasses import dataclass

from clary.kernel.store import record


@record("iam_account_alias", version=1, scope="global")
@dataclass(frozen=True, slots=True)
class AccountAlias:
    """An account's alias; unique over all accounts. Named by the alias; the parent is the account."""

    account: str
