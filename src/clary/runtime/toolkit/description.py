"""What /opt/ml/input/config says about this job."""

import json
from dataclasses import dataclass
from typing import Any

from clary.runtime.errors import CustomerError
from clary.runtime.paths import MlPaths

TUNING_METRIC = "_tuning_objective_metric"


@dataclass(frozen=True)
class JobDescription:
    """The three config files. Hyperparameter values are as the platform wrote them: strings."""

    hyperparameters: dict[str, str]
    resource: dict[str, Any]
    channels: dict[str, dict[str, Any]]

    @property
    def current_host(self) -> str:
        return str(self.resource.get("current_host", "algo-1"))

    @property
    def hosts(self) -> list[str]:
        """All hosts; the first is the master. `algo-2` comes before `algo-10`."""
        hosts = [str(host) for host in self.resource.get("hosts", [])] or [self.current_host]
        return sorted(hosts, key=lambda host: (len(host), host))

    @property
    def is_master(self) -> bool:
        return self.current_host == self.hosts[0]

    def setting(self, name: str) -> str | None:
        """A `sagemaker_*` hyperparameter; SDK v2 writes JSON strings, the v3 tuner writes them bare."""
        value = self.hyperparameters.get(name)
        if value is None:
            return None
        decoded = decode(value)
        return decoded if isinstance(decoded, str) else value

    @property
    def user_hyperparameters(self) -> dict[str, Any]:
        """The hyperparameters meant for the script, decoded: JSON where the value is JSON, else the string itself."""
        return {
            name: decode(value)
            for name, value in self.hyperparameters.items()
            if not name.startswith("sagemaker_") and name != TUNING_METRIC
        }

    @property
    def framework_parameters(self) -> dict[str, Any]:
        return {
            name: decode(value)
            for name, value in self.hyperparameters.items()
            if name.startswith("sagemaker_") or name == TUNING_METRIC
        }


def decode(value: str) -> Any:
    """The JSON value inside a hyperparameter string, or the string itself when it is not JSON."""
    try:
        return json.loads(value)
    except ValueError:
        return value


def read_description(paths: MlPaths) -> JobDescription:
    """Read the config files. A missing one means: no hyperparameters, one host, the channels that are on disk."""
    hyperparameters = _read(paths, "hyperparameters.json")
    resource = _read(paths, "resourceconfig.json")
    channels = _read(paths, "inputdataconfig.json")
    if not channels and paths.data.is_dir():
        channels = {
            entry.name: {"TrainingInputMode": "File"} for entry in sorted(paths.data.iterdir()) if entry.is_dir()
        }
    return JobDescription(
        hyperparameters={
            name: value if isinstance(value, str) else json.dumps(value) for name, value in hyperparameters.items()
        },
        resource=resource,
        channels=channels,
    )


def _read(paths: MlPaths, name: str) -> dict[str, Any]:
    file = paths.config / name
    try:
        content = json.loads(file.read_bytes() or b"{}")
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise CustomerError(f"{file} is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise CustomerError(f"{file} must hold a JSON object, not {type(content).__name__}")
    return content
