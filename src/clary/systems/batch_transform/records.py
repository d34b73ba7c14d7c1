"""What is stored of a transform job: the request as it was sent, the model it uses, and where the job stands."""

from dataclasses import dataclass, field
from typing import Any

from clary.kernel.store import record


def _several_containers(document: dict[str, Any]) -> dict[str, Any]:
    rest = {name: value for name, value in document.items() if name != "container"}
    return {**rest, "containers": [document["container"]]}


@record("transform_job", version=2, upgrades={1: _several_containers})
@dataclass(frozen=True, slots=True)
class TransformJob:
    """A transform job. All times are epoch seconds.

    `request` is CreateTransformJob's, completed with defaults and without tags. `containers` are the model's, copied,
    so that a model deleted later changes nothing; `role` is the one its hosts act as, empty for none. `uid` tells the
    job from others that had its name. `attempt` is the run under way or the last one, a `logic_hosts.Attempt`; it is
    recorded before its first host is started, so that every start can be repeated. `restarts` is how many attempts were
    lost, `done` the inputs, by their place in the data set, whose outputs those had stored.
    """

    uid: str
    arn: str
    request: dict[str, Any]
    containers: list[dict[str, Any]]
    role: str
    isolated: bool
    status: str
    attempt: dict[str, Any] | None = None
    restarts: int = 0
    done: list[str] = field(default_factory=list)
    started: float | None = None
    ended: float | None = None
    failure_reason: str = ""
