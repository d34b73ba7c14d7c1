"""What stands for clients and the controller in a test's own process, over a platform without a server."""

from collections.abc import Callable
from functools import partial
from typing import Any

from clary.kernel.rooms import Platform

# No default of anything, so that whatever forgets to ask whose and where is found out.
ACCOUNT, REGION = "111122223333", "eu-west-1"

Call = Callable[..., dict[str, Any]]
Caller = Callable[..., Call]


def calling(platform: Platform, service: str, account: str = ACCOUNT, region: str = REGION) -> Call:
    """A client of one service: `calling(platform, "sqs")("CreateQueue", QueueName="jobs")`.

    What it asks for is validated and authorised as a client's call over HTTP is.
    """

    def call(operation: str, **params: Any) -> dict[str, Any]:
        answer: Any = platform.call(account, region, service, operation, **params)
        return answer  # type: ignore[no-any-return]

    return call


def reconcilers(platform: Platform) -> dict[str, Callable[[str | None], float | None]]:
    """Every room's reconcilers and observers by topic, to be run by hand: `reconcilers(platform)["sns"](None)`."""
    return {period.topic: partial(run, platform) for period, run in platform.registry.reconcilers}
