"""What it means to run work: the specification of one host, what is observed of it, and who runs it.

A *job* runs on one or more *hosts* (`algo-1`, `algo-2`, ...), as a task that ends or a service that stays.
Each host is one sandboxed process with SageMaker's container contract under `/opt/ml`, looked after by a
*shim*: a process of its own that stages the inputs, pumps the logs, matches metrics, uploads the outputs,
and outlives whoever started it. Callers keep no handle: they say `start`, `stop`, and look with `observe`.

Everything here is plain data that survives a trip through JSON, so that a shim needs nothing from its
starter but a file.
"""

import dataclasses
import json
import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

ML_ROOT = "/opt/ml"
FAILURE_REASON_LIMIT = 1024

_SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")


class InvalidSpec(ValueError):
    """A specification that no executor could run safely; the message names the field and the value."""


class Kind(StrEnum):
    TASK = "task"
    SERVICE = "service"


class DataType(StrEnum):
    S3_PREFIX = "S3Prefix"
    MANIFEST = "ManifestFile"
    AUGMENTED_MANIFEST = "AugmentedManifestFile"


class InputMode(StrEnum):
    FILE = "File"
    FAST_FILE = "FastFile"
    PIPE = "Pipe"


class Phase(StrEnum):
    """Where a host stands. It only moves forward; `ENDED` is final."""

    PENDING = "Pending"
    DOWNLOADING = "Downloading"
    STARTING = "Starting"
    RUNNING = "Running"
    UPLOADING = "Uploading"
    ENDED = "Ended"


class Outcome(StrEnum):
    """How a host ended. `LOST` means its shim died: what it had not uploaded is gone; start a new attempt."""

    COMPLETED = "Completed"
    FAILED = "Failed"
    STOPPED = "Stopped"
    TIMED_OUT = "TimedOut"
    LOST = "Lost"


class Failure(StrEnum):
    """Whose fault a `FAILED` outcome is, for the prefix of AWS's FailureReason."""

    CLIENT = "ClientError"  # an input is missing, a manifest is malformed, the output cannot be written
    ALGORITHM = "AlgorithmError"  # the process exited with a status other than 0
    INTERNAL = "InternalServerError"  # a fault of ours


@dataclass(frozen=True)
class Channel:
    """One input channel: objects of S3 that appear under `path` before the process starts (or, as Pipe, while it runs).

    `path` is relative to /opt/ml and defaults to `input/data/<name>`.
    `shard_index` of `shard_count` is this host's share under ShardedByS3Key; (0, 1) is FullyReplicated.
    `shuffle_seed` shuffles the order of S3 keys (manifest entries for manifests); in Pipe mode anew each epoch.
    `uri` names a prefix for S3Prefix, one object for both manifests. Under S3Prefix all keys that begin with it are
    taken; below `path`, `p/train/a` lies at `a` for the prefix `p/train` and at `train/a` for `p/tr`.
    `gzip` unpacks each object; `record_io` wraps each in a record (Pipe mode only, as on AWS).
    `listing`, relative to /opt/ml, is where the host finds a JSON document of its share of the objects, in order: the
    path of each below `path`, and its URI (not in Pipe mode). A share may be empty.
    """

    name: str
    uri: str
    data_type: DataType = DataType.S3_PREFIX
    attribute_names: tuple[str, ...] = ()
    mode: InputMode = InputMode.FILE
    shard_index: int = 0
    shard_count: int = 1
    gzip: bool = False
    record_io: bool = False
    shuffle_seed: int | None = None
    path: str = ""
    listing: str = ""

    @property
    def place(self) -> str:
        return self.path or f"input/data/{self.name}"


@dataclass(frozen=True)
class ModelSource:
    """A model for a service: `archive` extracts the tar.gz object at `uri` into `path`, else copies the prefix."""

    uri: str
    path: str = "model"
    archive: bool = True


@dataclass(frozen=True)
class Package:
    """A zip of the platform's own, the object at `uri`, unpacked into `path` before the start, over what is there.

    Whoever starts the host vouches that it may have it: neither account nor role is asked.
    """

    uri: str
    path: str


@dataclass(frozen=True)
class OnDemand:
    """Models that a service is given while it runs, whenever somebody asks for one: the model `name` is the tar.gz
    object at `<uri><name>`, which exists or not when it is asked for.

    The service speaks SageMaker's contract of multi-model containers: it is told to load, by `POST /models`, what the
    shim has unpacked below `models`, answers 507 when it has no room, and is then told to unload what was used least
    lately. Those who ask, ask the shim: see `kernel/jobs/on_demand`.
    Without `keep`, a model is unloaded and removed as soon as nobody uses it. Unpacked models take at most
    `disk_bytes`, 0 is as much as there is. Times and numbers are reported as metrics when there are namespaces for
    them: `metric_namespace` for what each download, loading and unloading took, `count_namespace` for how many models
    are loaded.
    """

    uri: str
    keep: bool = True
    disk_bytes: int = 0
    download_timeout_seconds: float = 3600.0
    load_timeout_seconds: float = 600.0
    metric_namespace: str = ""
    count_namespace: str = ""
    metric_dimensions: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Output:
    """What leaves the host. `path` is relative to /opt/ml.

    archive: the folder is packed as gzip'd tar and stored at exactly `uri` (which names the object);
    otherwise the tree is stored below the prefix `uri`.
    continuous: the tree is synchronised while the process runs and at its end. With `resumes` it is downloaded from
    `uri` first (SageMaker's checkpoints). `on_failure` uploads it also when the process failed.
    live: each file of the tree is stored while the process runs, as soon as it appears, and then listed by its own URI
    in `Observation.outputs`, also of a host that was lost. The process moves files there when they are whole.
    An empty folder uploads nothing as a tree, and an empty archive only when `even_empty`.
    """

    path: str
    uri: str
    archive: bool = True
    continuous: bool = False
    resumes: bool = True
    live: bool = False
    on_failure: bool = True
    even_empty: bool = False


@dataclass(frozen=True)
class LogTarget:
    group: str
    stream: str


@dataclass(frozen=True)
class MetricDefinition:
    """`regex` is searched in every line; its first group, as a float, is a value of metric `name`."""

    name: str
    regex: str


@dataclass(frozen=True)
class Resources:
    """What a host may use. `gpus` are device indices on this machine; no others are visible to it."""

    cpus: int = 1
    memory_bytes: int = 0
    gpus: tuple[int, ...] = ()


@dataclass(frozen=True)
class Wake:
    """Whom to wake when the observation changed: a reconciler's topic and key."""

    topic: str
    key: str


@dataclass(frozen=True)
class HostSpec:
    """Everything a shim needs to run one host, decided by the caller.

    `job` is unique per attempt: an attempt's folder is never reused. `argv[0]` is looked up on the sandbox's PATH,
    where `python`, `python3` and `pip` belong to an environment of this host alone, which sees the platform's packages
    and may be installed into. `environment` is the whole environment besides PATH, HOME, LANG, HOSTNAME, thread counts
    and the cache folders, which the executor sets unless given here; credentials of the role are given by the caller.
    `role` is the ARN of the role whose policies limit what is read from S3 and stored there for this host; empty is
    without limit, within the account.
    `files` are texts written before the start, by path relative to /opt/ml (`input/config/hyperparameters.json`).
    `peers` maps every host name of the job, this one too, to its address; they resolve inside the sandbox.
    `network=False` leaves only a loopback of its own. `warm` names a preloaded interpreter ("python:xgboost,pandas")
    that may stand ready for `python -m clary.runtime ...`; the job behaves the same without.
    A service listens on `port`, or on a Unix socket at `socket` (relative to /opt/ml), which works without network too.
    `max_runtime_seconds` counts from Running, None is without limit.
    """

    job: str
    host: str
    kind: Kind
    argv: tuple[str, ...]
    account: str
    region: str
    role: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    channels: tuple[Channel, ...] = ()
    models: tuple[ModelSource, ...] = ()
    packages: tuple[Package, ...] = ()
    on_demand: OnDemand | None = None
    outputs: tuple[Output, ...] = ()
    log: LogTarget | None = None
    metrics: tuple[MetricDefinition, ...] = ()
    metric_namespace: str = ""
    metric_dimensions: dict[str, str] = field(default_factory=dict)
    resources: Resources = Resources()
    max_runtime_seconds: float | None = None
    stop_grace_seconds: float = 120.0
    network: bool = True
    peers: dict[str, str] = field(default_factory=dict)
    port: int | None = None
    socket: str | None = None
    warm: str | None = None
    wake: Wake | None = None
    cwd: str = ML_ROOT

    def __post_init__(self) -> None:
        for what, name in (("job", self.job), ("host", self.host)):
            if not _SAFE_NAME.fullmatch(name):
                raise InvalidSpec(f"{what} {name!r} is not a safe name: use letters, digits, '.', '_' and '-'.")
        if not self.argv:
            raise InvalidSpec("argv is empty: name a program to run.")
        # The system ends every text at a NUL, and bubblewrap's options would go on behind it with what a user wrote.
        for text in (*self.argv, *self.environment, *self.environment.values(), self.cwd):
            if "\0" in text:
                raise InvalidSpec(f"{text[:100]!r} has a NUL character in it: leave it out.")
        if self.kind is Kind.SERVICE and not (self.port or self.socket):
            raise InvalidSpec("a service needs the port or the socket that it listens on.")
        if self.on_demand is not None and self.kind is not Kind.SERVICE:
            raise InvalidSpec("on_demand is for services: a task is given its models before it starts.")
        names = [channel.name for channel in self.channels]
        if len(set(names)) != len(names):
            raise InvalidSpec(f"channel names repeat: {', '.join(names)}.")
        for path in (
            *self.files,
            *(channel.place for channel in self.channels),
            *(model.path for model in self.models),
            *(package.path for package in self.packages),
            *(output.path for output in self.outputs),
            *(channel.listing for channel in self.channels if channel.listing),
            *([self.socket] if self.socket else []),
        ):
            if path.startswith("/") or ".." in path.split("/") or "\0" in path or not path.strip("/."):
                raise InvalidSpec(f"path {path!r} must be relative to {ML_ROOT} and stay inside it.")

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "HostSpec":
        return cls(**_spec_members(json.loads(text)))


def _spec_members(body: dict[str, Any]) -> dict[str, Any]:
    def channel(item: dict[str, Any]) -> Channel:
        typed = {
            "data_type": DataType(item["data_type"]),
            "mode": InputMode(item["mode"]),
            "attribute_names": tuple(item["attribute_names"]),
        }
        return Channel(**(item | typed))

    resources = body["resources"]
    return body | {
        "kind": Kind(body["kind"]),
        "argv": tuple(body["argv"]),
        "channels": tuple(channel(item) for item in body["channels"]),
        "models": tuple(ModelSource(**item) for item in body["models"]),
        "packages": tuple(Package(**item) for item in body.get("packages", ())),
        "on_demand": OnDemand(**body["on_demand"]) if body.get("on_demand") else None,
        "outputs": tuple(Output(**item) for item in body["outputs"]),
        "log": LogTarget(**body["log"]) if body["log"] else None,
        "metrics": tuple(MetricDefinition(**item) for item in body["metrics"]),
        "resources": Resources(**(resources | {"gpus": tuple(resources["gpus"])})),
        "wake": Wake(**body["wake"]) if body["wake"] else None,
    }


@dataclass(frozen=True)
class FinalMetric:
    """The last value a metric had, and when (epoch seconds)."""

    name: str
    value: float
    timestamp: float


@dataclass(frozen=True)
class Observation:
    """What is known of a host, at one moment. Times are epoch seconds.

    `phases` holds when each phase passed so far began; a lost host ended when it was last heard of. `outcome` and
    what describes it are None before `ENDED`.
    `reason` is the process's own failure file (at most 1,024 characters), else its last lines, else what went wrong
    around it; `failure` says whose fault. `message` is what it left in /opt/ml/output/message, however it ended.
    `outputs` lists the S3 URIs that were stored whole.
    `healthy` is whether a service last answered its ping; None until it did once. `refuses` is whether one that is not
    healthy said so itself, by an answer other than 200, where others are only silent. `socket` is the absolute path
    where the service's Unix socket is reached from outside, `models_socket` where its shim is asked for models
    (`OnDemand`). `pid` is the main process, `shim_pid` who looks after it.
    """

    job: str
    host: str
    phase: Phase
    phases: dict[str, float] = field(default_factory=dict)
    outcome: Outcome | None = None
    exit_code: int | None = None
    signal: int | None = None
    failure: Failure | None = None
    reason: str = ""
    message: str = ""
    metrics: tuple[FinalMetric, ...] = ()
    outputs: tuple[str, ...] = ()
    bytes_downloaded: int = 0
    pid: int | None = None
    shim_pid: int | None = None
    port: int | None = None
    socket: str | None = None
    models_socket: str | None = None
    healthy: bool | None = None
    refuses: bool = False

    @property
    def ended(self) -> bool:
        return self.phase is Phase.ENDED

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Observation":
        body = json.loads(text)
        return cls(
            **body
            | {
                "phase": Phase(body["phase"]),
                "outcome": Outcome(body["outcome"]) if body["outcome"] else None,
                "failure": Failure(body["failure"]) if body["failure"] else None,
                "metrics": tuple(FinalMetric(**item) for item in body["metrics"]),
                "outputs": tuple(body["outputs"]),
            }
        )


@dataclass(frozen=True)
class Capability:
    """One thing that this machine lets an executor do or not; `remedy` says how to get what is missing."""

    name: str
    available: bool
    detail: str
    remedy: str = ""


class Executor(Protocol):
    """Runs hosts on some kind of compute. Safe to use from any number of threads and processes of one home at once.

    Promises, tested by `tests/conformance/executor` on every executor:
    - a host started once runs exactly once and to its end, whatever happens to its starter;
    - what `observe` returns only moves forward and outlives every process; an end outlives a loss of power;
    - when the shim dies, the host's processes die with it, and `observe` says `Outcome.LOST`;
    - an output listed in `Observation.outputs` is whole.
    """

    def start(self, spec: HostSpec) -> None:
        """Begin to run `spec`. Returns once this host shall run whatever process dies, long before it does.

        Idempotent by (job, host): starting what was started is a no-op, and repairs a start that a crash cut short.
        """

    def observe(self, job: str, host: str) -> Observation | None:
        """What is known of the host; None when it was never started or is forgotten.

        Also None when a start was cut short and nobody looks after the host although there was time: whoever starts
        what is None repairs that.
        """

    def stop(self, job: str, host: str) -> None:
        """Ask the host to stop: SIGTERM, `stop_grace_seconds`, SIGKILL, then its outputs are still uploaded.

        Returns at once; asking again, or of a host that ended or is unknown, is a no-op. Durable.
        """

    def hosts(self) -> list[tuple[str, str]]:
        """Every (job, host) that was started and is not forgotten."""

    def forget(self, job: str, host: str) -> None:
        """Remove what is kept of a host; one that still runs is killed first, and nothing more of it is uploaded."""

    def end_all(self, *, forget: bool = False) -> int:
        """Kill every host that runs, at once and without uploads; return how many did. They are observed as lost,
        unless `forget` removes all that is kept of every host."""

    def prepare(self) -> None:
        """Make ready what lets hosts start fast, while this executor is open. Optional; the controller does."""

    def close(self) -> None:
        """Let go of what `prepare` made. Hosts that run go on."""

    def capabilities(self) -> list[Capability]:
        """What `clary doctor` prints about this executor."""
