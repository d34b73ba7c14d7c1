"""What a shell must export so that unmodified AWS clients talk to this server; `clary env` prints it.

Two things AWS_ENDPOINT_URL alone does not do are done by files under `<home>/client/`: a botocore plugin sends the
SageMaker SDK's STS calls here too, and an SDK configuration turns telemetry off. docs/decisions/0004 says why.
"""

import os
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from clary.kernel.core.ids import short_id

_PLUGIN = "clary_endpoint"
_SDK_CONFIG = """\
# Read by the SageMaker Python SDK. Written by `clary env`; put your own defaults in ~/.config/sagemaker/config.yaml
# and unset SAGEMAKER_USER_CONFIG_OVERRIDE to use them instead.
SchemaVersion: '1.0'
SageMaker:
  PythonSDK:
    Modules:
      TelemetryOptOut: true
"""
# Left over from a session with AWS they would send a client elsewhere or spoil the signature.
_UNSET = ("AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN", "AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_ENDPOINT_URL_STS")


def client_environment(
    endpoint_url: str,
    access_key: str,
    secret: str,
    region: str,
    home: Path,
    current: Mapping[str, str] = os.environ,
) -> dict[str, str | None]:
    """Variables to export, given those that the shell has now (None: unset it); writes the files they point at."""
    folder = home / "client"
    _write(folder / "python" / f"{_PLUGIN}.py", files("clary.cli.sdk_plugin").joinpath(f"{_PLUGIN}.py").read_text())
    _write(folder / "sagemaker.yaml", _SDK_CONFIG)
    environment: dict[str, str | None] = {
        "AWS_ENDPOINT_URL": endpoint_url,
        "AWS_ACCESS_KEY_ID": access_key,
        "AWS_SECRET_ACCESS_KEY": secret,
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",
        "BOTOCORE_EXPERIMENTAL__PLUGINS": f"clary={_PLUGIN}",
        "PYTHONPATH": _with(current.get("PYTHONPATH", ""), folder / "python"),
        "SAGEMAKER_USER_CONFIG_OVERRIDE": str(folder / "sagemaker.yaml"),
        "SAGEMAKER_CORE_USER_CONFIG_OVERRIDE": str(folder / "sagemaker.yaml"),
    }
    environment.update({name: None for name in _UNSET if name in current})
    return environment


def _with(python_path: str, folder: Path) -> str:
    others = [part for part in python_path.split(os.pathsep) if part and part != str(folder)]
    return os.pathsep.join([str(folder), *others])


def _write(path: Path, text: str) -> None:
    if path.exists() and path.read_text() == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{short_id()}")
    draft.write_text(text)
    draft.replace(path)
