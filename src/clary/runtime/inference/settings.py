"""The server's settings, from the environment that README.md lists."""

import os
from dataclasses import dataclass
from pathlib import Path

from clary.runtime.errors import CustomerError

MIB = 1024 * 1024


@dataclass(frozen=True)
class Settings:
    host: str
    port: int
    unix_socket: str | None
    ready_file: Path | None
    workers: int
    timeout_seconds: float
    log_level: int
    max_body: int
    batch: bool
    default_accept: str
    multi_model: bool = False
    memory_bytes: int = 0
    batch_size: int = 1
    batch_delay_seconds: float = 0.0

    @classmethod
    def from_environment(cls) -> "Settings":
        """Raises CustomerError that names the variable and its value."""
        batch = os.environ.get("SAGEMAKER_BATCH", "").lower() == "true"
        multi_model = os.environ.get("SAGEMAKER_MULTI_MODEL", "").lower() == "true"
        ready_file = os.environ.get("CLARY_READY_FILE")
        batch_size = _integer("CLARY_MAX_BATCH_SIZE", 1, 1, 100_000)
        if multi_model and batch_size > 1:
            raise CustomerError("CLARY_MAX_BATCH_SIZE does not go together with SAGEMAKER_MULTI_MODEL; unset one")
        return cls(
            host=os.environ.get("CLARY_BIND_HOST") or "127.0.0.1",
            port=_integer("SAGEMAKER_BIND_TO_PORT", 8080, 0, 65535),
            unix_socket=os.environ.get("CLARY_BIND_UNIX_SOCKET") or None,
            ready_file=Path(ready_file) if ready_file else None,
            workers=_integer("SAGEMAKER_MODEL_SERVER_WORKERS", 1, 1, 256),
            timeout_seconds=_integer("SAGEMAKER_MODEL_SERVER_TIMEOUT", 60, 1, 86400),
            log_level=_integer("SAGEMAKER_CONTAINER_LOG_LEVEL", 20, 0, 50),
            max_body=_integer("MAX_CONTENT_LENGTH", 100 * MIB if batch else 25 * MIB, 1, 1 << 40),
            batch=batch,
            default_accept=os.environ.get("SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT", ""),
            multi_model=multi_model,
            memory_bytes=_integer("SM_MEMORY_BYTES", 0, 0, 1 << 60),
            batch_size=batch_size,
            batch_delay_seconds=_integer("CLARY_MAX_BATCH_DELAY_MILLISECONDS", 10, 0, 60_000) / 1000,
        )


def _integer(name: str, default: int, low: int, high: int) -> int:
    value = os.environ.get(name, "").strip()
    if not value:
        return default
    if not value.isdecimal() or not low <= int(value) <= high:
        raise CustomerError(f"{name} is {value!r}; it must be an integer from {low} to {high}")
    return int(value)
