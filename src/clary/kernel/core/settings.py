"""Settings: one tuple of (name, default, help); each is also the environment variable `CLARY_<NAME>`.

Documentation is generated from `SETTINGS`, and a test holds every entry to the dataclass below.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

DEFAULT_PORT = 4777
DEFAULT_REGION = "us-east-1"
DEFAULT_ACCOUNT = "000000000000"


class Setting(NamedTuple):
    name: str
    default: Any
    help: str


SETTINGS = (
    Setting("home", "~/.clary", "Folder that holds everything: records, objects, logs, jobs."),
    Setting("listen", f"127.0.0.1:{DEFAULT_PORT}", "HOST:PORT that the gateway binds. Port 0 takes a free one."),
    Setting("workers", 1, "Gateway processes that share the port."),
    Setting("region", DEFAULT_REGION, "Region that `clary env` prints; requests name their own."),
    Setting("account", DEFAULT_ACCOUNT, "Account of the default key pair."),
    Setting("ephemeral", False, "Throw-away server: state may be dropped by POST /_clary/reset."),
    Setting("max_body_bytes", 5 * 1024**3 + 64 * 1024**2, "Largest request body; S3 allows 5 GiB in one PUT."),
    Setting("max_document_bytes", 64 * 1024**2, "Largest body of an operation that is read whole into memory."),
    Setting("body_timeout_seconds", 60.0, "Longest silence of a client that is sending a body."),
    Setting("clock_skew_seconds", 900.0, "How far a signature's date may be from the server's clock."),
    Setting("access_log", True, "Write one line per request to <home>/log/access.log."),
    Setting("warm_interpreters", True, "Keep an interpreter per framework image warm, so that jobs start at once."),
    Setting("serverless_idle_seconds", 300.0, "How long an idle instance of a serverless endpoint stays."),
    Setting("kinesis_throttle", False, "Refuse what exceeds AWS's limits on a shard of a stream in provisioned mode."),
    Setting("streams_url", "", "Where streams are kept: empty for the home, nats://HOST:PORT for NATS JetStream."),
    Setting(
        "features_buffer_seconds",
        5.0,
        "How long what was put into a feature group waits, to be written to its offline store together with more.",
    ),
    Setting(
        "online_store_url",
        "",
        "Where feature groups keep their latest records: empty for the home, redis://HOST:PORT for Redis or Valkey.",
    ),
    Setting("function_idle_seconds", 300.0, "How long an idle instance of a Lambda function stays."),
    Setting(
        "function_retry_seconds",
        60.0,
        "How long an asynchronous invocation that failed waits for its first retry; twice as long for the second.",
    ),
    Setting("queries_at_once", 4, "Queries of Athena that run at once, and DDL statements beside them; others queue."),
    Setting(
        "query_memory_bytes",
        0,
        "Memory of a query of Athena, more goes to disk; 0 shares six tenths of the machine's among those at once.",
    ),
    Setting("query_threads", 0, "Threads of a query of Athena; 0 means one for each CPU of the machine."),
    Setting("query_timeout_seconds", 1800.0, "How long a query of Athena may run."),
    Setting("ddl_timeout_seconds", 36000.0, "How long a DDL statement of Athena may run."),
    Setting("slots_cpus", 0, "CPUs that jobs may use at once; 0 means all the machine has."),
)


@dataclass(frozen=True, slots=True)
class Settings:
    """What the operator chose. Build it with `Settings.load`."""

    home: Path
    listen: str
    workers: int
    region: str
    account: str
    ephemeral: bool
    max_body_bytes: int
    max_document_bytes: int
    body_timeout_seconds: float
    clock_skew_seconds: float
    access_log: bool
    warm_interpreters: bool
    serverless_idle_seconds: float
    kinesis_throttle: bool
    streams_url: str
    features_buffer_seconds: float
    online_store_url: str
    function_idle_seconds: float
    function_retry_seconds: float
    queries_at_once: int
    query_memory_bytes: int
    query_threads: int
    query_timeout_seconds: float
    ddl_timeout_seconds: float
    slots_cpus: int

    @classmethod
    def load(cls, environment: Mapping[str, str] | None = None, **overrides: Any) -> "Settings":
        """Defaults, then `CLARY_*` variables, then `overrides` that are not None.

        Raises ValueError that names the variable when its value cannot be read.
        """
        environment = os.environ if environment is None else environment
        values: dict[str, Any] = {}
        for name, default, _ in SETTINGS:
            variable = f"CLARY_{name.upper()}"
            chosen = overrides.get(name)
            if chosen is None and variable in environment:
                chosen = _read(variable, environment[variable], default)
            values[name] = default if chosen is None else chosen
        values["home"] = Path(values["home"]).expanduser().absolute()
        return cls(**values)

    def environment(self) -> dict[str, str]:
        """The same settings as `CLARY_*` variables, for the processes of this server."""
        return {f"CLARY_{field.name.upper()}": str(getattr(self, field.name)) for field in fields(self)}

    @property
    def host(self) -> str:
        return self.listen.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        return int(self.listen.rpartition(":")[2])


def _read(variable: str, text: str, default: Any) -> Any:
    if isinstance(default, bool):
        lowered = text.strip().lower()
        if lowered not in {"1", "true", "yes", "on", "0", "false", "no", "off"}:
            raise ValueError(f"{variable} must be true or false, not {text!r}")
        return lowered in {"1", "true", "yes", "on"}
    try:
        return type(default)(text)
    except ValueError:
        raise ValueError(f"{variable} must be of type {type(default).__name__}, not {text!r}") from None
