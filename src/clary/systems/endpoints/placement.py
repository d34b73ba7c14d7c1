"""Room for copies of inference components: how many instances they need together, first come first served. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from clary.kernel.jobs.instance_types import Size

_MIB = 1024**2


@dataclass(frozen=True, slots=True)
class Need:
    """What one copy of a component takes of an instance."""

    cpus: float
    memory_bytes: int
    gpus: int

    @classmethod
    def of(cls, specification: Mapping[str, Any]) -> "Need":
        """What a component's Specification asks for."""
        asked = specification["ComputeResourceRequirements"]
        return cls(
            asked.get("NumberOfCpuCoresRequired", 0.0),
            asked["MinMemoryRequiredInMb"] * _MIB,
            int(asked.get("NumberOfAcceleratorDevicesRequired", 0)),
        )

    def fits(self, room: "Need") -> bool:
        return self.cpus <= room.cpus and self.memory_bytes <= room.memory_bytes and self.gpus <= room.gpus


class NoRoom(Exception):
    """One copy needs more than a whole instance has; the message says of what."""


def instances_needed(copies: Iterable[tuple[Need, int]], size: Size) -> int:
    """How many instances of a size hold all copies, each put on the first that has room. Raises NoRoom."""
    whole = Need(size.cpus, size.memory_bytes, size.gpus)
    rooms: list[Need] = []
    for need, count in copies:
        if not need.fits(whole):
            raise NoRoom(_lack(need, whole))
        for _ in range(count):
            number = next((index for index, room in enumerate(rooms) if need.fits(room)), len(rooms))
            if number == len(rooms):
                rooms.append(whole)
            room = rooms[number]
            rooms[number] = replace(
                room,
                cpus=room.cpus - need.cpus,
                memory_bytes=room.memory_bytes - need.memory_bytes,
                gpus=room.gpus - need.gpus,
            )
    return len(rooms)


def _lack(need: Need, whole: Need) -> str:
    if need.cpus > whole.cpus:
        return f"it needs {need.cpus:g} CPU cores, and an instance has {whole.cpus:g}"
    if need.memory_bytes > whole.memory_bytes:
        return f"it needs {need.memory_bytes // _MIB} MB of memory, and an instance has {whole.memory_bytes // _MIB}"
    return f"it needs {need.gpus} accelerators, and an instance has {whole.gpus}"
