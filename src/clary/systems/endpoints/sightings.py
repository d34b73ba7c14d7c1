"""What is seen of an endpoint's servers, and of the several servers of one instance taken together. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from clary.kernel.jobs.contract import Observation, Phase

Sightings = Mapping[str, Mapping[str, Observation | None]]
"""What an executor observes, by job and host; None where it knows nothing."""

_ORDER = list(Phase)


def together(hosts: Sequence[Observation | None]) -> Observation | None:
    """One observation for all servers of an instance: it is as far as the slowest, and as well as the worst of them.

    None when nothing was started. One that ended has ended them all; what is not started yet holds them back.
    """
    seen = [one for one in hosts if one is not None]
    if not seen or len(hosts) == 1:
        return seen[0] if seen else None
    ended = [one for one in seen if one.ended]
    if ended:
        return min(ended, key=lambda one: one.phases.get(Phase.ENDED, 0.0))
    if len(seen) < len(hosts):
        return replace(seen[0], phase=Phase.PENDING, healthy=None)
    slowest = min(seen, key=lambda one: (_ORDER.index(one.phase), bool(one.healthy)))
    silent = any(one.healthy is None for one in seen)
    return replace(slowest, healthy=None if silent else all(one.healthy for one in seen))
