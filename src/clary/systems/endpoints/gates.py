"""The gate of a serverless variant in one gateway: what `kernel/serving/gates` says, in this room's words."""

import asyncio
from collections.abc import Callable
from functools import partial

from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Platform
from clary.kernel.serving.demand import Demands, teller
from clary.kernel.serving.gates import Gate, Opening
from clary.kernel.serving.routes import BELLS, DOMAIN, Target, route_key

COLD_START_SECONDS = 60.0

_TOPIC = "endpoints"

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
