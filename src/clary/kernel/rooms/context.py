"""What every handler gets first: who asks, where, and the platform to act on."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from clary.kernel.auth.principals import Principal
from clary.kernel.core.arns import partition_of
from clary.kernel.core.ids import new_uuid
from clary.kernel.store import Table
from clary.kernel.wire import Operation

if TYPE_CHECKING:
    from clary.kernel.rooms.platform import Platform

T = TypeVar("T")


@dataclass(slots=True, eq=False)  # not frozen, which would take four times as long to make; one is made for each call
class Context:
    """One call, which nobody changes. `operation` is the model of the operation called; `endpoint` is the URL the
    client used."""

    platform: "Platform"
    operation: Operation
    principal: Principal
    account: str
    region: str
    request_id: str
    endpoint: str = ""
    headers: Mapping[str, str] | None = None

    @property
    def partition(self) -> str:
        return partition_of(self.region)

    def arn(self, resource: str, *, service: str | None = None, region: str | None = None) -> str:
        """The ARN of a resource of this account and region; `region=""` for services that have none."""
        prefix = service or self.operation.service.signing_name
        where = self.region if region is None else region
        return f"arn:{self.partition}:{prefix}:{where}:{self.account}:{resource}"

    def records(self, cls: type[T]) -> Table[T]:
        """The records of a type in this account and region."""
        return self.platform.records(cls).within(self.account, self.region)

    def call(self, service: str, operation: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """Call another room as this principal: the same validation and authorisation as a client's call.

        Blocks: from an `async def` handler, `await ctx.call_async(...)` instead.
        """
        return self.platform.registry.call(self._for(service, operation), params)

    async def call_async(self, service: str, operation: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """`call` from the event loop."""
        output = await self.platform.registry.invoke(self._for(service, operation), params)
        return dict(output.output)

    def within(self, *, account: str | None = None, region: str | None = None) -> "Context":
        """The same caller, acting in another account or region."""
        return replace(self, account=account or self.account, region=region or self.region)

    def _for(self, service: str, operation: str) -> "Context":
        model = self.platform.registry.model(service, operation)
        return replace(self, operation=model, request_id=new_uuid(), headers=None)
