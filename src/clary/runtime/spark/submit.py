"""`smspark-submit`: run an application on the Spark of this job's hosts, with S3 in place of HDFS.

Options are those of SageMaker's Spark image, `--local-spark-event-logs-dir` and `--spark-event-logs-s3-uri`, and all of
`spark-submit`'s. Where `--jars`, `--py-files` and `--files` name folders, their files are meant.
"""

import importlib.util
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

from clary.runtime import failure, threads
from clary.runtime.errors import CustomerError
from clary.runtime.paths import ml_paths
from clary.runtime.spark import configuration
from clary.runtime.spark.cluster import Cluster, Daemons, wait_for_leader
from clary.runtime.spark.tree import Tree
from clary.runtime.spark.webhdfs import WebHdfs

_FILE_LISTS = ("--jars", "--py-files", "--files")
_FLAGS = ("--verbose", "-v", "--supervise")
_BUCKET = re.compile(rb"s3[an]?://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])")
_HEAP_SHARE = 0.6


def spark_submit(arguments: Sequence[str]) -> int:
    """Run the application that the arguments name; return its exit code."""
    try:
        return _submit(list(arguments))
    except CustomerError as error:
        print(error, file=sys.stderr, flush=True)
        failure.record(ml_paths(), failure.describe(error))
        return 1


def _submit(arguments: list[str]) -> int:
    home = _spark_home()
    options, properties, application = _parsed(arguments)
    asked = configuration.read_configuration(ml_paths().root / "processing" / configuration.PLACE)
    for name in asked.ignored:
        print(f"The configuration {name} has no effect here: Spark runs without YARN and HDFS.", flush=True)
    cluster = Cluster.of_job(ml_paths().root)
    with tempfile.TemporaryDirectory(prefix="spark-") as scratch:
        place = Path(scratch)
        environment = {**_environment(home, place, cluster), **asked.environment}
        shared = {} if cluster.alone else cluster.properties()
        if not cluster.leads:
            return _serve(cluster, home, place, {**asked.spark, **shared}, environment)
        facade = WebHdfs(Tree(_s3_client()), _address(cluster), _named_buckets(arguments))
        try:
            _write_site(place, {**facade.hadoop_properties(), **asked.hadoop})
            chosen = {**_defaults(cluster, place), **asked.spark, **properties, **shared}
            _write_defaults(place, _within_hosts(chosen))
            daemons = None if cluster.alone else _daemons(cluster, home, environment)
            try:
                return _run([str(home / "bin" / "spark-submit"), *options, *application], environment)
            finally:
                if daemons is not None:
                    daemons.close()
        finally:
            facade.close()


def _defaults(cluster: Cluster, place: Path) -> dict[str, str]:
    """How Spark runs unless the user says otherwise: on this host alone it is one JVM, else the driver leaves the other
    half of its host to executors."""
    memory = _heap_mib()
    half = max(512, memory // 2)
    if cluster.alone:
        found = {"spark.master": f"local[{threads.num_cpus()}]", "spark.driver.memory": f"{memory}m"}
    else:
        found = {
            "spark.master": cluster.master,
            "spark.driver.memory": f"{half}m",
            "spark.executor.memory": f"{half}m",
            "spark.driver.host": cluster.me,
            "spark.driver.bindAddress": _address(cluster),
        }
    return {
        **found,
        "spark.ui.enabled": "false",
        "spark.local.dir": str(place),
        "spark.sql.warehouse.dir": f"file://{place}/warehouse",
    }


def _within_hosts(properties: dict[str, str]) -> dict[str, str]:
    """Executors of at most the cores that hosts have: one that asks for more would wait without a word."""
    cores, cpus = properties.get("spark.executor.cores", ""), threads.num_cpus()
    if not cores.isdecimal() or int(cores) <= cpus:
        return properties
    print(f"spark.executor.cores is {cores}, and a host has {cpus}: executors get {cpus}.", flush=True)
    return {**properties, "spark.executor.cores": str(cpus)}


def _environment(home: Path, place: Path, cluster: Cluster) -> dict[str, str]:
    return {
        **os.environ,
        "SPARK_HOME": str(home),
        "SPARK_CONF_DIR": str(place),
        "HADOOP_CONF_DIR": str(place),
        "SPARK_WORKER_DIR": str(place / "work"),
        "SPARK_DAEMON_MEMORY": "512m",
        "SPARK_NO_DAEMONIZE": "1",
        "SPARK_LOCAL_IP": _address(cluster),
        "SPARK_LOCAL_HOSTNAME": cluster.me,
        "PYSPARK_PYTHON": sys.executable,
        "PYSPARK_DRIVER_PYTHON": sys.executable,
    }


def _daemons(cluster: Cluster, home: Path, environment: Mapping[str, str]) -> Daemons:
    return Daemons(cluster, home, environment, threads.num_cpus())


def _serve(
    cluster: Cluster, home: Path, place: Path, properties: Mapping[str, str], environment: Mapping[str, str]
) -> int:
    """Be a host on which the application of the first one has executors."""
    _write_defaults(place, properties)
    daemons = _daemons(cluster, home, environment)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        wait_for_leader(cluster)
    finally:
        daemons.close()
    return 0


def _address(cluster: Cluster) -> str:
    return "127.0.0.1" if cluster.alone else socket.gethostbyname(cluster.me)


def _spark_home() -> Path:
    if shutil.which("java") is None and not os.environ.get("JAVA_HOME"):
        raise CustomerError("Spark needs Java 17 or newer, and there is no java here: install openjdk-17-jre-headless")
    found = importlib.util.find_spec("pyspark")
    if found is None or found.origin is None:
        raise CustomerError("Spark is not installed: pip install 'clary[spark]'")
    return Path(found.origin).parent


def _parsed(arguments: list[str]) -> tuple[list[str], dict[str, str], list[str]]:
    """Options for spark-submit, properties, and the application with its arguments."""
    options: list[str] = []
    properties: dict[str, str] = {}
    rest = list(arguments)
    while rest and rest[0].startswith("-"):
        name, equals, value = rest.pop(0).partition("=")
        if name in _FLAGS:
            options.append(name)
            continue
        if not equals:
            if not rest:
                raise CustomerError(f"{name} needs a value")
            value = rest.pop(0)
        if name == "--local-spark-event-logs-dir":
            Path(value).mkdir(parents=True, exist_ok=True)
            properties |= {"spark.eventLog.enabled": "true", "spark.eventLog.dir": f"file://{Path(value).absolute()}"}
        elif name == "--spark-event-logs-s3-uri":
            properties |= {"spark.eventLog.enabled": "true", "spark.eventLog.dir": value}
        elif name in _FILE_LISTS:
            options += [name, _expanded(value)]
        else:
            options += [name, value]
    if not rest:
        raise CustomerError("smspark-submit needs an application: a .py or .jar file")
    return options, properties, rest


def _expanded(value: str) -> str:
    """A comma-separated list in which folders of this host stand for the files in them."""
    found: list[str] = []
    for item in filter(None, value.split(",")):
        folder = Path(item.removeprefix("file://"))
        found += [str(path) for path in sorted(folder.iterdir())] if folder.is_dir() else [item]
    return ",".join(found)


def _named_buckets(arguments: Sequence[str]) -> set[str]:
    """Buckets that the job names, which may be others' that it cannot list: in arguments, environment and code."""
    texts = [*(argument.encode() for argument in arguments), *(value.encode() for value in os.environ.values())]
    texts += [Path(one).read_bytes() for one in arguments if one.endswith(".py") and os.path.isfile(one)]
    return {match.decode() for text in texts for match in _BUCKET.findall(text)}


def _s3_client() -> object:
    import boto3
    from botocore.config import Config

    config = Config(s3={"addressing_style": "path"}, retries={"max_attempts": 5}, max_pool_connections=64)
    return boto3.client("s3", config=config)


def _heap_mib() -> int:
    """What of the host's memory the JVM may take for its heap; the rest is for Python and for what is off the heap."""
    sizes = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for place in (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/memory")):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            group = place / line.split(":", 2)[2].lstrip("/")
            for name in ("memory.max", "memory.limit_in_bytes"):
                try:
                    sizes.append(int((group / name).read_text()))
                except (OSError, ValueError):
                    continue
    return max(512, int(min(sizes) * _HEAP_SHARE) // 1024**2)


def _write_site(folder: Path, properties: Mapping[str, str]) -> None:
    """Hadoop's settings, in a file rather than on the command line: they hold the facade's secret."""
    lines = [
        f"<property><name>{escape(name)}</name><value>{escape(value)}</value></property>"
        for name, value in properties.items()
    ]
    (folder / "core-site.xml").write_text("\n".join(["<configuration>", *lines, "</configuration>"]))


def _write_defaults(folder: Path, properties: Mapping[str, str]) -> None:
    for name, value in properties.items():
        if "\n" in name + value:
            raise CustomerError(f"the Spark property {name!r} has a line break in it: leave it out")
    lines = [f"{name} {value}".replace("\\", "\\\\") for name, value in properties.items()]
    (folder / "spark-defaults.conf").write_text("\n".join(lines) + "\n")


def _run(command: list[str], environment: Mapping[str, str]) -> int:
    """Run a child that gets our SIGTERM; return its exit code as a shell would."""
    child = subprocess.Popen(command, env=dict(environment))
    signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    code = child.wait()
    return 128 - code if code < 0 else code
