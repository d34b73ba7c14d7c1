"""Training over several hosts with XGBoost's own collective.

The master (algo-1) runs the library's tracker on a port of its own choosing and tells it to each host that calls at the
rendezvous port, so that hosts may start in any order and only one port must be known in advance.
A host without rows takes part with an empty matrix: the rounds need it in every reduction.
"""

import contextlib
import json
import os
import select
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from xgboost import collective
from xgboost.core import XGBoostError
from xgboost.tracker import RabitTracker

from clary.runtime.algorithms.xgboost.data import Shard
from clary.runtime.algorithms.xgboost.parameters import Plan
from clary.runtime.errors import CustomerError
from clary.runtime.toolkit.description import JobDescription

DEFAULT_PORT = 9099
PATIENCE_SECONDS = 900.0
RETRY_SECONDS = 0.1
LEAVE_SECONDS = 60


@dataclass(frozen=True)
class Agreed:
    """What all hosts hold alike before the first round."""

    columns: int
    checkpoint: bytes | None


def check(chosen: Plan, job: JobDescription) -> None:
    """Refuse what the library cannot do over several hosts."""
    if len(job.hosts) == 1:
        return
    if chosen.booster.get("tree_method") == "exact":
        raise CustomerError("Customer Error: tree_method 'exact' works on one host only; use 'hist' or 'approx'")
    if chosen.booster.get("booster") == "gblinear":
        raise CustomerError("Customer Error: booster 'gblinear' works on one host only; use 'gbtree' or 'dart'")


@contextlib.contextmanager
def communicator(job: JobDescription) -> Iterator[None]:
    """Join the other hosts for the time of the block; nothing to do on a single host."""
    if len(job.hosts) == 1:
        yield
        return
    place = (address(job.hosts[0]), int(os.environ.get("CLARY_RENDEZVOUS_PORT") or DEFAULT_PORT))
    if job.is_master:
        tracker = RabitTracker(n_workers=len(job.hosts), host_ip=place[0], sortby="task")
        tracker.start()
        arguments = tracker.worker_args()
        _tell_hosts(place, job.hosts[1:], arguments)
    else:
        arguments = _ask_master(place, job)
    # The tracker ranks by this text, so that the master is rank 0.
    task = f"{job.hosts.index(job.current_host):06d}"
    with collective.CommunicatorContext(**arguments, dmlc_task_id=task):
        yield
    if job.is_master:
        # Each host takes its leave of the tracker; who ends before they have takes the tracker away from them.
        with contextlib.suppress(XGBoostError):
            tracker.wait_for(timeout=LEAVE_SECONDS)


def agree(job: JobDescription, shard: Shard, checkpoint: bytes | None) -> Agreed:
    """The widest feature count of any host, and the master's checkpoint. Raises CustomerError when no host has rows."""
    if len(job.hosts) == 1:
        return Agreed(shard.columns, checkpoint)
    rows = shard.train.rows if shard.train is not None else 0
    total = collective.allreduce(np.array([rows], dtype=np.int64), collective.Op.SUM)[0]
    if not total:
        raise CustomerError("Customer Error: channel 'train' holds no data on any host")
    if not rows:
        print(f"{job.current_host} has no training data; it takes part without", flush=True)
    columns = collective.allreduce(np.array([shard.columns], dtype=np.int64), collective.Op.MAX)[0]
    return Agreed(int(columns), collective.broadcast(checkpoint or b"", 0) or None)


def address(host: str) -> str:
    """The IP address of a host: from CLARY_HOST_ADDRESSES, else by name."""
    known = json.loads(os.environ.get("CLARY_HOST_ADDRESSES") or "{}")
    if host in known:
        return str(known[host])
    try:
        return socket.gethostbyname(host)
    except OSError as error:
        raise CustomerError(f"cannot find the address of {host}: {error}") from error


def _tell_hosts(place: tuple[str, int], hosts: list[str], arguments: dict[str, str | int]) -> None:
    """Answer each host once with the tracker's arguments."""
    missing = set(hosts)
    deadline = time.monotonic() + PATIENCE_SECONDS
    with socket.create_server(place) as server:
        while missing:
            ready, _, _ = select.select([server], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise CustomerError(f"{', '.join(sorted(missing))} did not join within {PATIENCE_SECONDS:g} s")
            connection, _ = server.accept()
            with connection, contextlib.suppress(OSError):
                connection.settimeout(10)
                caller = connection.makefile().readline().strip()
                if caller in missing:
                    connection.sendall(json.dumps(arguments).encode())
                    missing.discard(caller)


def _ask_master(place: tuple[str, int], job: JobDescription) -> dict[str, str | int]:
    """Call the master until it answers."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        try:
            with socket.create_connection(place, timeout=10) as connection:
                connection.sendall(f"{job.current_host}\n".encode())
                arguments: dict[str, str | int] = json.loads(connection.makefile().read())
                return arguments
        except (OSError, ValueError):
            threading.Event().wait(RETRY_SECONDS)
    raise CustomerError(f"{job.hosts[0]} did not answer at {place[0]}:{place[1]} within {PATIENCE_SECONDS:g} s")
