"""What `clary env` tells a shell."""

import importlib.util
import os
from pathlib import Path
from types import ModuleType

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError

from clary.cli.client_env import client_environment

ENDPOINT = "http://127.0.0.1:9"


def made(home: Path, **current: str) -> dict[str, str | None]:
    return client_environment(ENDPOINT, "AKIA", "secret", "eu-west-1", home, current)


def test_points_clients_here(tmp_path: Path) -> None:
    environment = made(tmp_path)
    assert environment["AWS_ENDPOINT_URL"] == ENDPOINT
    assert environment["AWS_REGION"] == environment["AWS_DEFAULT_REGION"] == "eu-west-1"
    config = Path(str(environment["SAGEMAKER_USER_CONFIG_OVERRIDE"])).read_text()
    assert "TelemetryOptOut: true" in config


def test_keeps_python_path_and_stays_the_same_when_run_again(tmp_path: Path) -> None:
    first = made(tmp_path, PYTHONPATH="/mine")
    assert first["PYTHONPATH"] == f"{tmp_path / 'client' / 'python'}{os.pathsep}/mine"
    assert made(tmp_path, PYTHONPATH=str(first["PYTHONPATH"])) == first


def test_unsets_what_would_lead_elsewhere(tmp_path: Path) -> None:
    environment = made(tmp_path, AWS_PROFILE="work", AWS_SESSION_TOKEN="old")
    assert environment["AWS_PROFILE"] is None
    assert environment["AWS_SESSION_TOKEN"] is None
    assert "AWS_PROFILE" not in made(tmp_path)


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The plugin as written for clients, loaded from its file."""
    made(tmp_path)
    monkeypatch.setenv("AWS_ENDPOINT_URL", ENDPOINT)
    spec = importlib.util.spec_from_file_location("plugin", tmp_path / "client" / "python" / "clary_endpoint.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def client(service: str, endpoint: str) -> object:
    return boto3.client(
        service, region_name="us-east-1", endpoint_url=endpoint, aws_access_key_id="a", aws_secret_access_key="b"
    )


def test_plugin_redirects_explicit_aws_endpoints(plugin: ModuleType) -> None:
    sts = client("sts", "https://sts.us-east-1.amazonaws.com")
    plugin.initialize_client_plugin(sts)
    with pytest.raises(EndpointConnectionError, match=ENDPOINT):
        sts.get_caller_identity()  # type: ignore[attr-defined]
    assert sts.generate_presigned_url("get_caller_identity").startswith(ENDPOINT)  # type: ignore[attr-defined]


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:8", "https://sts.example.com", "https://amazonaws.com.example"])
def test_plugin_leaves_other_endpoints_alone(plugin: ModuleType, endpoint: str) -> None:
    sts = client("sts", endpoint)
    plugin.initialize_client_plugin(sts)
    assert sts.generate_presigned_url("get_caller_identity").startswith(endpoint)  # type: ignore[attr-defined]
