"""The hosts of a job as one Spark cluster: a master and a worker on the first, a worker on each of the others.

The first host also holds a door open: the others wait there until it closes, and end with it. All that speak to each
other prove a secret that the platform gave the hosts of this job alone.
"""

import json
import os
import socket
import subprocess
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from clary.runtime.errors import CustomerError

MASTER_PORT = 7077
_DOOR_PORT = 7076
_PATIENCE_SECONDS = 300
_AGAIN_SECONDS = 0.1
# The platform limits what a host may use, and says when that was too little. An executor that does not fit what its
# worker offers would wait without a word.
_OFFERED_MEMORY = "1t"


@dataclass(frozen=True)
class Cluster:
    """The hosts of this job, this one among them, each with an address of its own."""

    me: str
    hosts: tuple[str, ...]

    @classmethod
    def of_job(cls, root: Path) -> "Cluster":
        """As the job's description below `root`, /opt/ml, has it; this host alone where there is none."""
        file = root / "config" / "resourceconfig.json"
        if not file.is_file():
            return cls("localhost", ("localhost",))
        document = json.loads(file.read_text())
        return cls(document["current_host"], tuple(document["hosts"]))

    @property
    def alone(self) -> bool:
        return len(self.hosts) == 1

    @property
    def leads(self) -> bool:
        return self.me == self.hosts[0]

    @property
    def master(self) -> str:
        return f"spark://{self.hosts[0]}:{MASTER_PORT}"

    def properties(self) -> dict[str, str]:
        """What Spark's daemons and applications are told alike, so that strangers on this machine stay outside."""
        secret = os.environ.get("CLARY_CLUSTER_SECRET")
        if not secret:
            raise CustomerError("the hosts of this job have no secret in common: CLARY_CLUSTER_SECRET is not set")
        return {
            "spark.authenticate": "true",
            "spark.authenticate.secret": secret,
            "spark.network.crypto.enabled": "true",
        }


class Daemons:
    """Spark's daemons on this host, from their start until `close`."""

    def __init__(self, cluster: Cluster, home: Path, environment: Mapping[str, str], cpus: int) -> None:
        self._running: list[subprocess.Popen[bytes]] = []
        self._door: socket.socket | None = None
        self._visitors: list[socket.socket] = []
        spark_class = [str(home / "bin" / "spark-class")]
        if cluster.leads:
            place = ["--host", cluster.me, "--port", str(MASTER_PORT), "--webui-port", "0"]
            master = [*spark_class, "org.apache.spark.deploy.master.Master", *place]
            self._running.append(subprocess.Popen(master, env=dict(environment)))
            self._open_door(cluster.me)
        place = ["--host", cluster.me, "--webui-port", "0", "--cores", str(cpus), "--memory", _OFFERED_MEMORY]
        worker = [*spark_class, "org.apache.spark.deploy.worker.Worker", *place, cluster.master]
        self._running.append(subprocess.Popen(worker, env=dict(environment)))

    def close(self) -> None:
        """End the daemons, and let the other hosts know."""
        for daemon in self._running:
            daemon.terminate()
        for daemon in self._running:
            daemon.wait()
        if self._door is not None:
            self._door.close()
        for visitor in self._visitors:
            visitor.close()

    def _open_door(self, host: str) -> None:
        self._door = door = socket.create_server((host, _DOOR_PORT))

        def greet() -> None:
            try:
                while True:
                    self._visitors.append(door.accept()[0])
            except OSError:  # closed
                return

        threading.Thread(target=greet, daemon=True, name="door").start()


def wait_for_leader(cluster: Cluster) -> None:
    """Return when the first host has closed its door. Raises CustomerError when it never opens it."""
    pause = threading.Event()
    for _ in range(int(_PATIENCE_SECONDS / _AGAIN_SECONDS)):
        try:
            with socket.create_connection((cluster.hosts[0], _DOOR_PORT), timeout=5) as door:
                door.settimeout(None)
                door.recv(1)
                return
        except OSError:
            pause.wait(_AGAIN_SECONDS)
    raise CustomerError(f"the first host, {cluster.hosts[0]}, did not begin to run Spark")
