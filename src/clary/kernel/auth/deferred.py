"""Principals kept with work that is done after their call: who it was, to be asked again what it may do by then."""

from typing import Any

from clary.kernel.auth.directory import Directory
from clary.kernel.auth.policies import Permissions, Policy, Statement
from clary.kernel.auth.principals import Principal
from clary.kernel.core.errors import AwsError


def kept(principal: Principal) -> dict[str, Any]:
    """A principal as a record can hold it."""
    permissions = principal.permissions
    session = None if permissions is None else permissions.session
    return {
        "kind": principal.kind,
        "account": principal.account,
        "partition": principal.partition,
        "name": principal.name,
        "session": principal.session,
        "path": principal.path,
        "unique_id": principal.unique_id,
        "unlimited": permissions is None,
        "session_policies": None
        if session is None
        else [[policy.name, *map(list, policy.statements)] for policy in session],
    }


def taken_up(directory: Directory, document: dict[str, Any]) -> Principal:
    """The principal again, with what its policies allow by now. Raises AccessDeniedException when it is gone."""
    given = dict(document)
    unlimited, session = given.pop("unlimited"), given.pop("session_policies")
    if unlimited:
        return Principal(**given)
    bare = Principal(**given)
    found: Permissions
    if bare.kind == "user":
        user = directory.users(bare.account).get(bare.name)
        if user is None or user.value.unique_id != bare.unique_id:
            raise _gone(bare)
        found = directory.user_permissions(bare.account, user.value)
    elif bare.kind == "assumed-role":
        role = directory.role(bare.account, bare.name)
        if role is None or role.value.unique_id != bare.unique_id:
            raise _gone(bare)
        found = directory.role_permissions(bare.account, role.value)
    else:
        raise _gone(bare)
    if session is not None:
        found = Permissions(found.identity, found.boundary, tuple(_policy(each) for each in session))
    return Principal(**given, permissions=found)


def _policy(document: list[Any]) -> Policy:
    name, *statements = document
    return Policy(name, tuple(_statement(each) for each in statements))


def _statement(document: list[Any]) -> Statement:
    """A statement from its members: what were tuples of texts are lists in a record."""
    return Statement._make(tuple(member) if isinstance(member, list) else member for member in document)


def _gone(principal: Principal) -> AwsError:
    return AwsError("AccessDeniedException", f"{principal.arn}, who asked for this, is not there any more", status=403)
