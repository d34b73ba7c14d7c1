"""How large AWS's instance types are: processors, memory, GPUs. From AWS's public instance type tables.

Sizes follow a rule in nearly every family (`large` is 2 vCPUs, `4xlarge` is 16; so many GiB for each); what does not
is listed. Accelerators that only AWS has (Trainium, Inferentia, Gaudi) count as none.
"""

import re
from dataclasses import dataclass

GIB = 1024**3

_NAME = re.compile(r"ml\.(?P<family>[a-z][a-z0-9-]*)\.(?P<size>[a-z0-9-]+)")
_MULTIPLE = re.compile(r"(\d*)xlarge")
_SMALL_SIZES = {"medium": 1, "large": 2}

_GIB_PER_CPU_BY_LETTER = {"c": 2.0, "m": 4.0, "r": 8.0, "t": 4.0, "g": 4.0, "i": 8.0, "p": 8.0}
_GIB_PER_CPU = {
    "c4": 1.875,
    "c5n": 2.625,
    "dl1": 8.0,
    "eia1": 4.0,
    "eia2": 4.0,
    "g6e": 8.0,
    "g7e": 10.67,
    "gr6": 8.0,
    "inf1": 2.0,
    "inf2": 4.0,
    "p2": 15.25,
    "p3": 7.625,
    "p4d": 12.0,
    "p4de": 12.0,
    "p5": 10.67,
    "p5e": 10.67,
    "p5en": 10.67,
    "p6-b200": 10.67,
    "p6-b300": 21.33,
    "p6e-gb200": 6.67,
    "trn1": 4.0,
    "trn1n": 4.0,
    "trn2": 10.67,
}
_CPUS = {
    ("c4", "8xlarge"): 36,
    ("p6e-gb200", "36xlarge"): 144,
    ("t2", "medium"): 2,
    ("t3", "medium"): 2,
    ("t3", "small"): 2,
    ("t3", "micro"): 2,
}
_GIB = {("t2", "medium"): 4.0, ("t3", "medium"): 4.0, ("t3", "small"): 2.0, ("t3", "micro"): 1.0}
_ONE_TO_EIGHT = {"12xlarge": 4, "24xlarge": 4, "48xlarge": 8}
_GPUS: dict[str, dict[str, int]] = {
    "g4dn": {"12xlarge": 4},
    "g5": _ONE_TO_EIGHT,
    "g6": _ONE_TO_EIGHT,
    "g6e": _ONE_TO_EIGHT,
    "g7": {"12xlarge": 2, "24xlarge": 4, "48xlarge": 8},
    "g7e": {"12xlarge": 2, "24xlarge": 4, "48xlarge": 8},
    "gr6": {},
    "p2": {"8xlarge": 8, "16xlarge": 16},
    "p3": {"8xlarge": 4, "16xlarge": 8},
    "p3dn": {"24xlarge": 8},
    "p4d": {"24xlarge": 8},
    "p4de": {"24xlarge": 8},
    "p5": {"48xlarge": 8},
    "p5e": {"48xlarge": 8},
    "p5en": {"48xlarge": 8},
    "p6-b200": {"48xlarge": 8},
    "p6-b300": {"48xlarge": 8},
    "p6e-gb200": {"36xlarge": 4},
}


@dataclass(frozen=True)
class Size:
    """What one instance has."""

    cpus: int
    memory_bytes: int
    gpus: int


def size_of(instance_type: str) -> Size:
    """The size of an instance type such as `ml.m5.xlarge`; a name that no rule fits counts as `ml.m5.large`."""
    name = _NAME.fullmatch(instance_type)
    if name is None:
        return Size(2, 8 * GIB, 0)
    family, size = name["family"], name["size"]
    multiple = _MULTIPLE.fullmatch(size)
    cpus = 4 * int(multiple[1] or 1) if multiple else _SMALL_SIZES.get(size, 2)
    cpus = _CPUS.get((family, size), cpus)
    gib_per_cpu = _GIB_PER_CPU.get(family) or _GIB_PER_CPU_BY_LETTER.get(family[0], 4.0)
    gib = _GIB.get((family, size), cpus * gib_per_cpu)
    return Size(cpus, int(gib * GIB), _GPUS[family].get(size, 1) if family in _GPUS else 0)
