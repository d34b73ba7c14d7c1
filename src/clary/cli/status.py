"""What `clary status` shows: processes, jobs, endpoints, disk."""

import os
from pathlib import Path
from typing import Any

import psutil

from clary.executors.process import ProcessExecutor
from clary.kernel.core.settings import Settings
from clary.kernel.rooms import Platform
from clary.server import home, lifecycle

Rows = list[dict[str, Any]]

_SHOWN_JOBS = 20


def collect(settings: Settings) -> dict[str, Rows]:
    """The report: a title to rows of the same columns. Reads the home; the server need not run."""
    info = home.running(settings.home)
    report: dict[str, Rows] = {"Server": [_server(settings, info)], "Processes": _processes(info)}
    if (settings.home / "records.db").exists():
        platform = Platform(settings)
        report["Running hosts"] = _hosts(settings)
        report |= _resources(platform, settings)
        platform.close()
    folders = ("objects", "kv", "jobs", "log")
    report["Disk"] = [{"folder": name, "size": _size(settings.home / name)} for name in folders]
    return report


def _server(settings: Settings, info: home.ServerInfo | None) -> dict[str, Any]:
    return {
        "state": "running" if info else "stopped",
        "endpoint": info.endpoint if info else "-",
        "version": info.version if info else "-",
        "home": str(settings.home),
    }


def _processes(info: home.ServerInfo | None) -> Rows:
    if info is None:
        return []
    supervisor = psutil.Process(info.pid)
    return [
        {
            "process": part.pid,
            "role": "supervisor" if part.pid == info.pid else lifecycle.role_of(part) or part.name(),
            "memory": f"{part.memory_info().rss / 2**20:.0f} MiB",
        }
        for part in [supervisor, *supervisor.children()]
    ]


def _hosts(settings: Settings) -> Rows:
    executor = ProcessExecutor(settings.home)
    rows = []
    for job, host in executor.hosts():
        seen = executor.observe(job, host)
        if seen is not None and seen.phase != "Ended":
            rows.append({"job": job, "host": host, "phase": str(seen.phase), "process": seen.pid or "-"})
    return rows


def _resources(platform: Platform, settings: Settings) -> dict[str, Rows]:
    """The newest training jobs and the endpoints of the default account, asked as a client would."""
    where = (settings.account, settings.region, "sagemaker")
    jobs: Any = platform.call(*where, "ListTrainingJobs", MaxResults=_SHOWN_JOBS)
    endpoints: Any = platform.call(*where, "ListEndpoints")
    return {
        "Training jobs": [
            {"name": job["TrainingJobName"], "status": job["TrainingJobStatus"]} for job in jobs["TrainingJobSummaries"]
        ],
        "Endpoints": [
            {"name": endpoint["EndpointName"], "status": endpoint["EndpointStatus"]}
            for endpoint in endpoints["Endpoints"]
        ],
    }


def _size(folder: Path) -> str:
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += (Path(parent) / name).stat(follow_symlinks=False).st_blocks * 512
            except FileNotFoundError:
                continue
    return f"{total / 2**20:,.1f} MiB"
