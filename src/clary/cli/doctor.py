"""What `clary doctor` examines: each capability, what it needs, and how to get what is missing."""

import contextlib
import importlib.util
import os
import shutil
import sys
from contextlib import closing
from dataclasses import dataclass

from clary.executors.process import ProcessExecutor
from clary.kernel.core.clock import SystemClock
from clary.kernel.core.settings import Settings
from clary.kernel.online import OnlineStoreError, ping_online
from clary.kernel.streams import NoSuchStream, StreamError, open_streams

_LOW_DISK_BYTES = 5 * 2**30

_MODULES = (
    ("XGBoost: built-in algorithm and script mode", ("xgboost", "numpy", "scipy"), "pip install 'clary[ml]'"),
    ("scikit-learn script mode", ("sklearn", "pandas", "joblib"), "pip install 'clary[ml]'"),
    ("Parquet input", ("pyarrow",), "pip install 'clary[data]'"),
    ("Firehose into PostgreSQL-like warehouses", ("psycopg",), "pip install 'clary[data]'"),
    ("Firehose into OpenSearch", ("opensearchpy",), "pip install 'clary[data]'"),
    ("Spark in processing jobs", ("pyspark",), "pip install 'clary[spark]'"),
    ("Model cards as PDF", ("fpdf",), "pip install 'clary[reports]'"),
    ("PyTorch script mode", ("torch",), "pip install 'clary[torch]'"),
    ("CRC32C, CRC64NVME and SHA checksums at full speed", ("awscrt",), "pip install awscrt"),
)
_PROGRAMS = (
    ("The AWS command line", "aws", "pip install awscli"),
    ("Fast installs in `make`", "uv", "pip install uv"),
    ("Java, for Spark", "java", "install openjdk-17-jre-headless"),
)


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the report. `remedy` says what to do when it is not ok."""

    capability: str
    ok: bool
    finding: str
    remedy: str


def examine(settings: Settings) -> list[Check]:
    """Look at this machine and environment; starts nothing."""
    checks = [_python(), _disk(settings)]
    able = ProcessExecutor(settings.home).capabilities()
    checks += [Check(found.name, found.available, found.detail, found.remedy) for found in able]
    checks += [_modules(*module) for module in _MODULES]
    checks += [_program(*program) for program in _PROGRAMS]
    if settings.streams_url:
        checks.append(_streams(settings))
    if settings.online_store_url:
        checks.append(_online_store(settings))
    return checks


def _python() -> Check:
    version = ".".join(str(part) for part in sys.version_info[:3])
    return Check("Python 3.11 or newer", sys.version_info >= (3, 11), version, "install a newer Python")


def _disk(settings: Settings) -> Check:
    folder = settings.home
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    writable = os.access(folder, os.W_OK)
    finding = f"{free / 2**30:.0f} GiB free at {settings.home}" + ("" if writable else ", not writable")
    return Check("Room for data", writable and free > _LOW_DISK_BYTES, finding, "choose another folder with CLARY_HOME")


def _modules(capability: str, modules: tuple[str, ...], remedy: str) -> Check:
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    finding = f"missing: {', '.join(missing)}" if missing else ", ".join(modules)
    return Check(capability, not missing, finding, remedy)


def _streams(settings: Settings) -> Check:
    """Whether the server that keeps streams is there, and new enough."""
    try:
        streams = open_streams(settings.home, SystemClock(), url=settings.streams_url)
        with closing(streams), contextlib.suppress(NoSuchStream):
            streams.bounds("none", "none")
    except StreamError as error:
        return Check("Streams in NATS", False, str(error), "start the server, or unset CLARY_STREAMS_URL")
    return Check("Streams in NATS", True, "the server answers", "")


def _online_store(settings: Settings) -> Check:
    """Whether the server that keeps the latest features is there."""
    try:
        ping_online(settings.online_store_url)
    except OnlineStoreError as error:
        return Check("Features in Redis", False, str(error), "start the server, or unset CLARY_ONLINE_STORE_URL")
    return Check("Features in Redis", True, "the server answers", "")


def _program(capability: str, program: str, remedy: str) -> Check:
    path = shutil.which(program)
    return Check(capability, path is not None, path or f"{program} is not on PATH", remedy)
