"""Policies on users, roles and groups: inline documents and attached managed policies. The same for all three."""

from dataclasses import replace
from typing import Any

from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Context
from clary.kernel.store import Table
from clary.support.iam.entities import Owner, check_document, found, no_such, on_the_wire
from clary.support.iam.listing import cut

_MAX_ATTACHED = 20


def put_inline(table: Table[Owner], kind: str, name: str, policy_name: str, document: str) -> None:
    check_document(document)
    entry = table.update(name, lambda owner: replace(owner, inline={**owner.inline, policy_name: document}))
    if entry is None:
        raise no_such(kind, name)


def get_inline(table: Table[Owner], kind: str, name: str, policy_name: str) -> dict[str, Any]:
    inline = found(table, kind, name).value.inline
    if policy_name not in inline:
        raise _no_inline(kind, policy_name)
    return {
        f"{kind.capitalize()}Name": name,
        "PolicyName": policy_name,
        "PolicyDocument": on_the_wire(inline[policy_name]),
    }


def delete_inline(table: Table[Owner], kind: str, name: str, policy_name: str) -> None:
    def without(owner: Owner) -> Owner:
        if policy_name not in owner.inline:
            raise _no_inline(kind, policy_name)
        return replace(owner, inline={key: text for key, text in owner.inline.items() if key != policy_name})

    if table.update(name, without) is None:
        raise no_such(kind, name)


def list_inline(table: Table[Owner], kind: str, name: str, marker: str | None, max_items: int | None) -> dict[str, Any]:
    names, more = cut(found(table, kind, name).value.inline, str, marker, max_items)
    return {"PolicyNames": names, **more}


def attach(ctx: Context, table: Table[Owner], kind: str, name: str, arn: str) -> None:
    if ctx.platform.keys.directory.document(ctx.account, arn) is None:
        raise AwsError("NoSuchEntity", f"Policy {arn} does not exist or is not attachable.")

    def with_policy(owner: Owner) -> Owner | None:
        if arn in owner.attached:
            return None
        if len(owner.attached) >= _MAX_ATTACHED:
            raise AwsError("LimitExceeded", f"Cannot exceed quota for PoliciesPer{kind.capitalize()}: {_MAX_ATTACHED}")
        return replace(owner, attached=[*owner.attached, arn])

    if table.update(name, with_policy) is None:
        raise no_such(kind, name)


def detach(table: Table[Owner], kind: str, name: str, arn: str) -> None:
    def without(owner: Owner) -> Owner:
        if arn not in owner.attached:
            raise AwsError("NoSuchEntity", f"Policy {arn} was not found.")
        return replace(owner, attached=[other for other in owner.attached if other != arn])

    if table.update(name, without) is None:
        raise no_such(kind, name)


def list_attached(
    table: Table[Owner], kind: str, name: str, path_prefix: str | None, marker: str | None, max_items: int | None
) -> dict[str, Any]:
    arns = [arn for arn in found(table, kind, name).value.attached if _path(arn).startswith(path_prefix or "/")]
    shown, more = cut(arns, str, marker, max_items)
    return {
        "AttachedPolicies": [{"PolicyName": arn.rpartition("/")[2], "PolicyArn": arn} for arn in shown],
        **more,
    }


def check_bare(owner: Owner) -> None:
    """Raise DeleteConflict while policies hang on an entity."""
    if owner.attached:
        raise AwsError("DeleteConflict", "Cannot delete entity, must detach all policies first.")
    if owner.inline:
        raise AwsError("DeleteConflict", "Cannot delete entity, must delete policies first.")


def _path(arn: str) -> str:
    return "/" + arn.partition(":policy/")[2].rpartition("/")[0] + "/" if "/" in arn.partition(":policy/")[2] else "/"


def _no_inline(kind: str, policy_name: str) -> AwsError:
    return AwsError("NoSuchEntity", f"The {kind} policy with name {policy_name} cannot be found.")
