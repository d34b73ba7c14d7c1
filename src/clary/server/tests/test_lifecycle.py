"""Starting, stopping, resetting and being killed, with real processes."""

import http.client
import os
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from clary.server import home, lifecycle
from clary.server.home import ServerInfo
from clary.testing import Server, eventually, serving, start_server, stop_server


def clary(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "CLARY_"))}
    return subprocess.run(
        [sys.executable, "-m", "clary.cli", *arguments],
        env=clean | {"CLARY_HOME": str(folder)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_a_server_that_does_not_answer_in_time_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "_START_SECONDS", 0.0)
    with pytest.raises(lifecycle.DidNotStart):
        start_server(tmp_path)
    lines = [one.as_dict(["cmdline"])["cmdline"] or () for one in psutil.Process().children()]
    assert [line for line in lines if str(tmp_path) in line] == []


def test_a_detached_server_prints_its_environment_and_ends(tmp_path: Path) -> None:
    started = clary(tmp_path, "up", "--detach", "--listen", "127.0.0.1:0")
    assert started.returncode == 0, started.stderr
    try:
        again = clary(tmp_path, "up", "--detach", "--listen", "127.0.0.1:0")
        assert again.returncode == 1
        assert "already runs" in again.stderr
        info = home.running(tmp_path)
        assert info is not None
        exports = clary(tmp_path, "env").stdout
        assert f"export AWS_ENDPOINT_URL={info.endpoint}" in exports
        assert "AWS_SECRET_ACCESS_KEY" in exports
        status = clary(tmp_path, "status")
        assert info.endpoint in status.stdout, status.stderr
        assert "gateway" in status.stdout
    finally:
        stopped = clary(tmp_path, "down")
    assert stopped.returncode == 0, stopped.stderr
    assert home.running(tmp_path) is None
    assert clary(tmp_path, "env").returncode == 1


def test_listening_beyond_loopback_needs_a_key_that_was_made(tmp_path: Path) -> None:
    refused = clary(tmp_path, "up", "--listen", "0.0.0.0:0")
    assert refused.returncode == 1
    assert "clary keys create" in refused.stderr


def test_an_address_that_is_taken_is_said(tmp_path: Path, server: Server) -> None:
    refused = clary(tmp_path, "up", "--listen", server.endpoint.removeprefix("http://"))
    assert refused.returncode == 1
    assert "cannot listen" in refused.stderr


def test_the_heir_of_a_killed_server_waits_for_its_address(tmp_path: Path) -> None:
    home.prepare(tmp_path)
    log = tmp_path / "log" / "server.log"
    with socket.create_server(("127.0.0.1", 0)) as left:
        listen = f"127.0.0.1:{left.getsockname()[1]}"
        home.announce(tmp_path, ServerInfo(1, f"http://{listen}", "0", False, "us-east-1", 0.0))
        with ThreadPoolExecutor(1) as pool:
            heir = pool.submit(start_server, tmp_path, "--listen", listen, warm_interpreters=False)
            eventually(lambda: log.exists() and "waiting for" in log.read_text())
            left.close()
            server = heir.result()
    try:
        assert server.endpoint == f"http://{listen}"
    finally:
        stop_server(server)


@pytest.mark.parametrize("role", ["gateway", "controller", "carrier"])
def test_a_killed_process_is_started_again(tmp_path: Path, role: str) -> None:
    with serving(tmp_path, warm_interpreters=False) as server:
        child = _child(server, role)
        os.kill(child.pid, signal.SIGKILL)
        eventually(lambda: [one for one in server.processes(role) if one.pid != child.pid])
        eventually(lambda: lifecycle.answers(server.endpoint))
        assert server.client("sts").get_caller_identity()["Account"]


@pytest.mark.parametrize("role", ["controller", "carrier"])
def test_a_process_whose_supervisor_died_before_it_looked_ends(tmp_path: Path, role: str) -> None:
    home.prepare(tmp_path)
    program = f"""
import socket
from clary.kernel.core.settings import Settings
from clary.server import processes
processes.be("{role}", Settings.load(), 1, socket.socket(), "")
"""
    started = subprocess.Popen([sys.executable, "-c", program], env=os.environ | {"CLARY_HOME": str(tmp_path)})
    assert started.wait(300) == -signal.SIGTERM


def test_the_processes_end_with_a_killed_supervisor_and_the_next_start_finds_everything(tmp_path: Path) -> None:
    with serving(tmp_path, warm_interpreters=False) as server:
        server.client("s3").create_bucket(Bucket="kept")
        children = psutil.Process(server.process.pid).children()
        server.process.kill()
        server.process.wait(60)
        eventually(lambda: not any(child.is_running() for child in children))
    with serving(tmp_path, warm_interpreters=False) as server:
        assert [bucket["Name"] for bucket in server.client("s3").list_buckets()["Buckets"]] == ["kept"]


def test_reset_forgets_everything_but_only_on_ephemeral_servers(tmp_path: Path) -> None:
    with serving(tmp_path / "keeps", warm_interpreters=False) as server:
        assert _reset(server) == 403
    with serving(tmp_path / "forgets", "--ephemeral", warm_interpreters=False) as server:
        s3 = server.client("s3")
        s3.create_bucket(Bucket="gone")
        s3.put_object(Bucket="gone", Key="k", Body=b"x")
        server.client("logs").create_log_group(logGroupName="gone")
        assert _reset(server) == 200
        assert s3.list_buckets()["Buckets"] == []
        assert server.client("logs").describe_log_groups()["logGroups"] == []
        s3.create_bucket(Bucket="gone")
        assert s3.list_objects_v2(Bucket="gone")["KeyCount"] == 0


def _reset(server: Server) -> int:
    where = urlsplit(server.endpoint)
    connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=120)
    connection.request("POST", "/_clary/reset")
    status = connection.getresponse().status
    connection.close()
    return status


def _child(server: Server, role: str) -> psutil.Process:
    process: psutil.Process = eventually(lambda: server.processes(role))[0]
    return process
