"""Store a new package: with the next number of its group, once for each ClientToken, all or nothing."""

from collections.abc import Mapping
from dataclasses import replace
from threading import Lock
from typing import Any

from clary.kernel.rooms import Context
from clary.kernel.rooms.tags import tags_with, tags_without
from clary.kernel.store import AlreadyExists, Conflict
from clary.support.registry.records import ModelPackage, ModelPackageGroup, Token
from clary.support.registry.requests import token_in_use
from clary.support.registry.resources import MODEL_PACKAGE_GROUPS, MODEL_PACKAGES

_MAX_TRIES = 100
# Those who want a number of the same group would only send each other round: one at a time asks, in each process.
_in_turn = Lock()


def made_by(ctx: Context, token: str, asked: str) -> str | None:
    """The name of the package that was created by this token; None for a new one. Raises ConflictException when
    something else was asked for by it."""
    found = ctx.records(Token).get(token)
    if found is None:
        return None
    if found.value.fingerprint != asked:
        raise token_in_use(token)
    return found.value.package


def store_package(
    ctx: Context, name: str, package: ModelPackage, asked: str, tags: Mapping[str, str] | None = None
) -> str:
    """Create the package `name`, or a version of its group; return its name, or that of the one made by its token.

    Raises what the resources raise for a group that is missing and a name that is taken.
    """
    with _in_turn:
        return _store(ctx, name, package, asked, tags or {})


def _store(ctx: Context, name: str, package: ModelPackage, asked: str, tags: Mapping[str, str]) -> str:
    packages = ctx.records(ModelPackage)
    for _ in range(_MAX_TRIES):
        earlier = made_by(ctx, package.token, asked) if package.token else None
        if earlier is not None:
            return earlier
        also: list[Any] = []
        if package.group:
            groups = ctx.records(ModelPackageGroup)
            group = MODEL_PACKAGE_GROUPS.get(ctx, package.group)
            number = group.value.latest + 1
            also.append(groups.replacement(group, replace(group.value, latest=number)))
            name, package = f"{package.group}/{number}", replace(package, number=number)
        if package.token:
            also.append(ctx.records(Token).insertion(package.token, Token(name, asked), parent=name))
        also += tags_with(ctx, MODEL_PACKAGES.arn(ctx, name), tags)
        try:
            packages.create(name, package, status=package.status, parent=package.group, also=also)
            return name
        except Conflict:
            continue  # another version was created meanwhile
        except AlreadyExists:
            if packages.get(name) is None:
                # Tags that were added while the former owner of this name was being deleted; or the token is taken.
                ctx.platform.store.apply(tags_without(ctx.platform, MODEL_PACKAGES.arn(ctx, name)))
            elif not package.group and (not package.token or made_by(ctx, package.token, asked) is None):
                raise MODEL_PACKAGES.already_there(ctx, name) from None
    raise Conflict(name)


def forget_package(ctx: Context, name: str) -> None:
    """Remove a package with its tags and its token, all or nothing. Raises the resource's error for a missing one."""
    packages, tokens = ctx.records(ModelPackage), ctx.records(Token)
    for _ in range(_MAX_TRIES):
        entry = MODEL_PACKAGES.get(ctx, name)
        also = tags_without(ctx.platform, MODEL_PACKAGES.arn(ctx, name))
        token = tokens.get(entry.value.token) if entry.value.token else None
        if token is not None and token.value.package == name:
            also.append(tokens.deletion(token.name, version=token.version))
        try:
            packages.delete(name, version=entry.version, also=also)
        except Conflict:
            continue
        return
    raise Conflict(name)
