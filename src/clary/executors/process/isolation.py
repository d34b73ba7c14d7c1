"""One network for the hosts of an isolated job: they reach each other, and nothing else.

The first host to start makes a network namespace; the others join it. Which one that is stands in a file of the job,
written under its lock and believed only while the namespace is still the one it was.
"""

import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from clary.kernel.jobs.sandbox import SandboxFault


@contextmanager
def shared_network(job: Path) -> Iterator[tuple[list[str], Callable[[int], None]]]:
    """The prefix of a command that joins the job's network, empty for who shall make it; and what to tell the first
    process of the sandbox that made it. Held until the sandbox is made."""
    nsenter = shutil.which("nsenter")
    if os.geteuid() != 0 or nsenter is None:
        raise SandboxFault("Several hosts isolated from the network need Clary to run as root, with nsenter installed.")
    with open(job / ".network", "a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        known = file.read()
        place = _alive(known)

        def tell(pid: int) -> None:
            if place is None:
                file.truncate(0)
                file.write(json.dumps([pid, os.stat(f"/proc/{pid}/ns/net").st_ino]))
                file.flush()

        yield [] if place is None else [nsenter, f"--net={place}", "--"], tell


def _alive(known: str) -> str | None:
    with suppress(OSError, ValueError):
        pid, inode = json.loads(known)
        place = f"/proc/{pid}/ns/net"
        if os.stat(place).st_ino == inode:
            return place
    return None
