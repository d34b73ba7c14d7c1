"""The hosts of one attempt at a job, named, placed and told of each other as SageMaker does it. Pure."""

import hashlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from clary.kernel.jobs.contract import ML_ROOT, Resources

HOMOGENEOUS_GROUP = "homogeneousCluster"
_LOOPBACK = "lo0" if sys.platform == "darwin" else "lo"


@dataclass(frozen=True, slots=True)
class Host:
    """One host of an attempt, with what it was given."""

    name: str
    group: str
    instance_type: str
    address: str = ""
    cpus: int = 1
    memory_bytes: int = 0
    gpus: list[int] = field(default_factory=list)

    @property
    def resources(self) -> Resources:
        return Resources(self.cpus, self.memory_bytes, tuple(self.gpus))


def name_hosts(groups: Sequence[tuple[str, str, int]]) -> list[Host]:
    """The hosts of instance groups, each a name, an instance type and a count: `algo-1`, `algo-2`, ..."""
    kinds = [(group, kind) for group, kind, count in groups for _ in range(count)]
    return [Host(f"algo-{number}", group, kind) for number, (group, kind) in enumerate(kinds, 1)]


def place_hosts(attempt: str, hosts: Sequence[Host], granted: Sequence[Resources]) -> list[Host]:
    """The hosts of the attempt of this id, with what they were granted and an address each."""
    return [
        replace(host, address=address, cpus=given.cpus, memory_bytes=given.memory_bytes, gpus=list(given.gpus))
        for host, given, address in zip(hosts, granted, addresses(attempt, len(hosts)), strict=True)
    ]


def addresses(attempt: str, count: int) -> list[str]:
    """An address on this machine for each host: 127.0.0.1 for one alone, else loopback addresses that other attempts
    hardly share, so that hosts may listen on the same ports. Systems other than Linux have but the one."""
    if count == 1 or sys.platform != "linux":
        return ["127.0.0.1"] * count
    seed = hashlib.sha256(attempt.encode()).digest()
    network = f"127.{16 + seed[0] % 224}.{seed[1]}"
    return [f"{network}.{number}" for number in range(1, count + 1)]


def resource_config(hosts: Sequence[Host], host: Host) -> dict[str, Any]:
    """What `resourceconfig.json` tells `host` of itself and the others, with SageMaker's spelling."""
    groups: dict[str, list[Host]] = {}
    for one in hosts:
        groups.setdefault(one.group, []).append(one)
    return {
        "current_host": host.name,
        "current_instance_type": host.instance_type,
        "current_group_name": host.group,
        "hosts": [one.name for one in hosts],
        "instance_groups": [
            {
                "instance_group_name": name,
                "instance_type": members[0].instance_type,
                "hosts": [one.name for one in members],
            }
            for name, members in groups.items()
        ],
        "network_interface_name": _LOOPBACK,
    }


def peers(hosts: Sequence[Host]) -> dict[str, str]:
    """The address of every host by its name."""
    return {one.name: one.address for one in hosts}


def below_root(path: str) -> str:
    """A local path of a request relative to /opt/ml. Raises ValueError for one outside of it."""
    relative = path.removeprefix(ML_ROOT).strip("/")
    if not path.startswith(f"{ML_ROOT}/") or not relative or ".." in relative.split("/"):
        raise ValueError(f"{path!r} must be a folder below {ML_ROOT}")
    return relative
