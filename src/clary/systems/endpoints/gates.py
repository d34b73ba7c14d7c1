"""The gate of a serverless variant in one gateway: what `kernel/serving/gates` says, in this room's words, and the turn
of a request behind it."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Self

from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Platform
from clary.kernel.serving.demand import Demands, teller
from clary.kernel.serving.gates import Gate, Opening, Place
from clary.kernel.serving.routes import BELLS, DOMAIN, Target, route_key

COLD_START_SECONDS = 60.0

_TOPIC = "endpoints"
_AGAIN_SECONDS = 0.05

Address = tuple[str, str, str]


def open_gate(
    platform: Platform, loop: asyncio.AbstractEventLoop, address: Address, variant: str, look: Callable[[], Target]
) -> Gate:
    """The gate of a variant: entering it raises ThrottlingException when as many requests as may be are under way
    already, and ModelNotReadyException when no instance came up in time. What `look` raises comes through.
    """
    wake = partial(platform.wake, _TOPIC, "/".join(address))
    tell = teller(platform.kv(DOMAIN), platform.clock, address, variant, wake)

    def opening() -> Opening:
        target = look()
        return Opening(target.servers, target.concurrency)

    return Gate(
        loop,
        look=opening,
        bells=platform.bells(BELLS),
        key=route_key(*address),
        demands=Demands(loop, platform.settings.serverless_idle_seconds, tell),
        full=partial(_full, variant),
        late=partial(_late, variant),
        patience_seconds=COLD_START_SECONDS,
    )


class Turn:
    """A request that has an instance for itself until it leaves, and the seconds that it has waited for one."""

    def __init__(self, gate: Gate, place: Place, waited_seconds: float) -> None:
        self.instance = place.instance
        self.waited_seconds = waited_seconds
        self._gate = gate
        self._place = place

    @classmethod
    async def wait(cls, gate: Gate) -> Self:
        """Raises as the gate does."""
        loop = asyncio.get_running_loop()
        came = loop.time()
        place = await gate.enter()
        return cls(gate, place, loop.time() - came)

    async def again(self) -> None:
        """Wait for another instance, since this one has gone; for the same, until the routing table says so too."""
        loop = asyncio.get_running_loop()
        came = loop.time()
        await asyncio.sleep(_AGAIN_SECONDS)
        self.leave()
        self._place = await self._gate.enter()
        self.instance = self._place.instance
        self.waited_seconds += loop.time() - came

    def leave(self) -> None:
        """Let another request in. Leaving twice does no harm."""
        self._gate.leave(self._place)


def _full(variant: str, under_way: int, most: int) -> AwsError:
    return AwsError(
        "ThrottlingException",
        f'Serverless variant "{variant}" has {under_way} requests under way, and its MaxConcurrency is '
        f"{most}. Try again later, or raise MaxConcurrency.",
        status=429,
    )


def _late(variant: str) -> AwsError:
    return AwsError(
        "ModelNotReadyException",
        f'No instance of serverless variant "{variant}" was ready within {COLD_START_SECONDS:g} s. '
        "Wait and try again; the endpoint's log group shows what its servers say.",
    )
