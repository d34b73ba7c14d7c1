"""Resources: what users create, name, tag, list and search, said once for every room.

A room declares each kind in its `api` module:

    TRAINING_JOBS = Resource("sagemaker", "training-job", TrainingJob, search="TrainingJob", document=document)

and creates, finds and deletes through it, so that names that are taken, names that are missing, ARNs and tags behave
alike everywhere. The registry collects the declarations, for operations that reach into all rooms: tags and search.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from clary.kernel.core.errors import AwsError
from clary.kernel.rooms.context import Context
from clary.kernel.rooms.tags import tags_with, tags_without
from clary.kernel.store import AlreadyExists, Conflict, Entry
from clary.kernel.store.contract import Change

T = TypeVar("T")

_MAX_TRIES = 20


@dataclass(frozen=True, slots=True)
class Resource(Generic[T]):
    """One kind of resource: `arn:...:<service>:<region>:<account>:<type_name>/<name>`, stored as `record`.

    `missing` and `taken` are the errors for a name that is not there or is there already: a code and a message that
    may hold `{name}` and `{arn}`. `search` is the name that Search knows the kind by, and `document` what it answers,
    tags aside. `role` is the role that was passed with one, empty for none: what work with it acts as, in any room.
    `containers` are the ContainerDefinitions that work with one starts, in any room.
    """

    service: str
    type_name: str
    record: type[T]
    missing: tuple[str, str] = ("ResourceNotFound", "Requested resource not found.")
    taken: tuple[str, str] = ("ResourceInUse", "Resource {arn} already exists.")
    search: str = ""
    document: Callable[[Context, Entry[T]], dict[str, Any]] | None = None
    role: Callable[[T], str] | None = None
    containers: Callable[[T], list[dict[str, Any]]] | None = None

    def arn(self, ctx: Context, name: str) -> str:
        return ctx.arn(f"{self.type_name}/{name}", service=self.service)

    def find(self, ctx: Context, name: str) -> Entry[T] | None:
        return ctx.records(self.record).get(name)

    def get(self, ctx: Context, name: str) -> Entry[T]:
        """The stored entry. Raises the error for a missing one."""
        entry = self.find(ctx, name)
        if entry is None:
            raise self.not_found(ctx, name)
        return entry

    def not_found(self, ctx: Context, name: str) -> AwsError:
        return self._error(self.missing, ctx, name)

    def already_there(self, ctx: Context, name: str) -> AwsError:
        return self._error(self.taken, ctx, name)

    def create(
        self,
        ctx: Context,
        name: str,
        value: T,
        *,
        tags: Mapping[str, str] | None = None,
        status: str = "",
        parent: str = "",
        also: Sequence[Change] = (),
    ) -> Entry[T]:
        """Store a new one with its tags and the changes in `also`, all or nothing.

        Raises the error for a name that is taken.
        """
        table = ctx.records(self.record)
        arn = self.arn(ctx, name)
        for _ in range(_MAX_TRIES):
            try:
                return table.create(
                    name, value, status=status, parent=parent, also=[*tags_with(ctx, arn, tags or {}), *also]
                )
            except AlreadyExists:
                if table.get(name) is not None:
                    raise self.already_there(ctx, name) from None
                # Tags that were added while the former owner of this name was being deleted.
                leftovers = tags_without(ctx.platform, arn)
                if leftovers:
                    ctx.platform.store.apply(leftovers)
        raise Conflict(arn)

    def delete(self, ctx: Context, name: str, *, version: int | None = None) -> None:
        """Remove one and its tags. Raises the error for a missing one; Conflict when `version` is past."""
        table = ctx.records(self.record)
        arn = self.arn(ctx, name)
        for _ in range(_MAX_TRIES):
            entry = table.get(name)
            if entry is None:
                raise self.not_found(ctx, name)
            if version is not None and entry.version != version:
                break
            try:
                table.delete(name, version=entry.version, also=tags_without(ctx.platform, arn))
                return
            except Conflict:
                continue
        raise Conflict(arn)

    def _error(self, error: tuple[str, str], ctx: Context, name: str) -> AwsError:
        code, message = error
        return AwsError(code, message.format(name=name, arn=self.arn(ctx, name)))


def containers_of(ctx: Context, service: str, type_name: str, name: str) -> list[dict[str, Any]]:
    """The containers that a resource of another room starts, where they came from a model package, too.

    Raises the resource's error for a missing one.
    """
    resource = ctx.platform.registry.resources[service, type_name]
    if resource.containers is None:
        raise TypeError(f"{service} {type_name} has no containers: declare `containers` of its Resource")
    return resource.containers(resource.get(ctx, name).value)
