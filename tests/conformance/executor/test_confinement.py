"""A sandboxed host sees what is its own, and nothing of the platform or its neighbours."""

import json
import os
import socket
import threading
from pathlib import Path

import pytest

from clary.executors.process import memory
from clary.kernel.jobs import confinement
from clary.kernel.jobs.contract import Failure, HostSpec, InvalidSpec, Kind, LogTarget, Outcome, Resources

WHERE = {"account": "000000000000", "region": "us-east-1"}
PROBE = (
    "def tried(action):\n"
    "    try:\n"
    "        action()\n"
    "        return 'allowed'\n"
    "    except OSError as error:\n"
    "        return type(error).__name__\n"
)


@pytest.mark.parametrize(
    "members",
    [
        {"environment": {"A": "a\0--bind\0/\0/mnt"}},
        {"environment": {"A\0--bind\0/\0/mnt": ""}},
        {"cwd": "/opt/ml\0--bind\0/\0/mnt"},
        {"argv": ("python", "-c", "pass\0")},
    ],
    ids=["value", "name", "cwd", "argv"],
)
def test_what_a_user_writes_cannot_become_an_option_of_the_sandbox(members):
    with pytest.raises(InvalidSpec, match="NUL"):
        HostSpec(**{"job": "j", "host": "algo-1", "kind": Kind.TASK, "argv": ("python",), **WHERE, **members})


def test_home_is_hidden(confined):
    spec = confined.start(f"print(json.dumps(os.path.exists({str(confined.home)!r})))")
    assert confined.report(spec) is False


def test_home_folders_of_people_are_hidden(confined):
    spec = confined.start("print(json.dumps([os.path.exists('/home'), os.path.exists('/root/.ssh')]))")
    assert confined.report(spec) == [False, False]


def test_system_is_read_only_and_the_job_has_its_own_places(confined):
    spec = confined.start(
        PROBE + "paths = ('/usr', '/etc', '/usr/bin', '/tmp', ML, os.environ['HOME'], ML + '/model', '/dev/shm')\n"
        "print(json.dumps([tried(lambda: open(path + '/new', 'w')) for path in paths]))"
    )
    assert confined.report(spec) == ["OSError"] * 3 + ["allowed"] * 5


def test_secrets_of_the_system_are_hidden(confined):
    spec = confined.start(
        "print(json.dumps([open('/etc/shadow').read() if os.access('/etc/shadow', os.R_OK) else '']))"
    )
    seen = confined.ended(spec)
    assert seen.outcome is Outcome.FAILED or confined.report(spec) == [""]


def test_what_the_system_keeps_from_its_users_is_kept_from_jobs(tmp_path):
    (tmp_path / "open").mkdir(mode=0o755)
    (tmp_path / "closed").mkdir(mode=0o700)
    for name, mode in {"open/key": 0o600, "open/text": 0o644, "closed/key": 0o644, "shadow": 0o640}.items():
        (tmp_path / name).write_text("x")
        (tmp_path / name).chmod(mode)
    (tmp_path / "link").symlink_to("shadow")
    covered = {os.path.relpath(path, tmp_path): how[0] for path, how in confinement.secrets_below(str(tmp_path))}
    assert covered == {"open/key": "--ro-bind", "shadow": "--ro-bind", "closed": "--tmpfs"}


def test_own_processes_only(confined):
    spec = confined.start("print(json.dumps(sorted(int(name) for name in os.listdir('/proc') if name.isdigit())))")
    assert len(confined.report(spec)) <= 3


def test_powers_of_root_are_few(confined):
    spec = confined.start(
        PROBE + "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\n"
        "def mount():\n"
        "    if libc.mount(b'none', b'/tmp', b'tmpfs', 0, None):\n"
        "        raise OSError(ctypes.get_errno(), 'mount')\n"
        "def device():\n    os.mknod('/tmp/disk', 0o600 | 0o060000, os.makedev(8, 0))\n"
        "print(json.dumps([tried(mount), tried(device), tried(lambda: os.chroot('/tmp'))]))"
    )
    assert confined.report(spec) == ["PermissionError"] * 3


def test_host_name_and_peers(confined):
    spec = confined.start(
        "import socket\nprint(json.dumps([socket.gethostname(), socket.gethostbyname('algo-2')]))",
        peers={"algo-1": "127.5.5.1", "algo-2": "127.5.5.2"},
    )
    assert confined.report(spec) == ["algo-1", "127.5.5.2"]


def test_network_isolation(confined):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        script = (
            PROBE + "import socket\n"
            f"print(json.dumps([tried(lambda: socket.create_connection(('127.0.0.1', {port}), 2)),\n"
            "    sorted(name for _, name in socket.if_nameindex()),\n"
            "    tried(lambda: socket.create_server(('127.0.0.1', 0)))]))"
        )
        isolated = confined.start(script, network=False)
        open_ = confined.start(script)
        found, interfaces, listening = confined.report(isolated)
        assert (found, listening) == ("ConnectionRefusedError", "allowed")
        assert interfaces == ["lo"]
        assert confined.report(open_)[0] == "allowed"


def test_isolation_is_refused_where_it_cannot_be_given(world):
    seen = world.run("pass", network=False)
    if world.confined:
        assert seen.outcome is Outcome.COMPLETED
    else:
        assert (seen.outcome, seen.failure) == (Outcome.FAILED, Failure.INTERNAL)
        assert "bubblewrap" in seen.reason


def test_secrets_do_not_show_in_the_process_list(confined):
    spec = confined.start("print('ready')\nsignal.pause()", environment={"TOKEN": "very-secret-token"})
    confined.said(spec, "ready")
    commands = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if _readable(path)]
    confined.executor.forget(spec.job, spec.host)
    assert not any(b"very-secret-token" in command for command in commands)


def _readable(path):
    try:
        return path.read_bytes()
    except OSError:
        return False


def test_python_of_the_job_is_its_own(world):
    spec = world.start(
        "import clary, shutil\n"
        "print(json.dumps([sys.prefix, shutil.which('python'), shutil.which('pip'), shutil.which('python3')]))"
    )
    prefix, *programs = world.report(spec)
    assert all(program.startswith(prefix) for program in programs)


def test_pip_installs_for_this_host_alone(world, tmp_path):
    """A package made on the spot, so that no registry is needed."""
    script = (
        "import subprocess, zipfile, importlib\n"
        "wheel = os.path.join(os.environ['TMPDIR'], 'wonder-1.0-py3-none-any.whl')\n"
        "with zipfile.ZipFile(wheel, 'w') as file:\n"
        "    file.writestr('wonder.py', 'VALUE = 42')\n"
        "    info = 'wonder-1.0.dist-info/'\n"
        "    file.writestr(info + 'METADATA', 'Metadata-Version: 2.1\\nName: wonder\\nVersion: 1.0\\n')\n"
        "    file.writestr(info + 'WHEEL', 'Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n')\n"
        "    file.writestr(info + 'RECORD', '')\n"
        "open('requirements.txt', 'w').write(wheel)\n"
        "subprocess.run(['pip', 'install', '--quiet', '--no-index', '-r', 'requirements.txt'], check=True)\n"
        "print(json.dumps(subprocess.check_output(['python', '-c', 'import wonder; print(wonder.VALUE)'], text=True)))"
    )
    spec = world.start(script, cwd="/opt/ml/code")
    assert world.report(spec) == "42\n"
    assert world.run("import wonder").outcome is Outcome.FAILED


def test_gpus_are_hidden_unless_given(world):
    spec = world.start(
        "print(json.dumps([[name for name in os.listdir('/dev') if name.startswith('nvidia')],"
        " os.environ.get('CUDA_VISIBLE_DEVICES', '')]))",
        resources=Resources(cpus=2, gpus=()),
    )
    assert world.report(spec) == [[], ""] or not world.confined


def test_thread_counts_follow_the_share(world):
    spec = world.start(
        "print(json.dumps([os.environ['OMP_NUM_THREADS'], os.environ['SM_NUM_CPUS']]))", resources=Resources(cpus=3)
    )
    assert world.report(spec) == ["3", "3"]


def test_cache_is_shared_within_an_account(world):
    place = "path = os.path.join(os.path.dirname(os.environ['CLARY_REQUIREMENTS_CACHE']), 'shared')\n"
    world.run(place + "open(path, 'w').write('kept')")
    assert world.report(world.start(place + "print(json.dumps(open(path).read()))")) == "kept"


def test_many_at_once(world):
    specs = [world.spec(f"print(json.dumps({number}))") for number in range(12)]
    starters = [threading.Thread(target=world.executor.start, args=(spec,)) for spec in specs]
    for starter in starters:
        starter.start()
    for starter in starters:
        starter.join()
    assert [world.report(spec) for spec in specs] == list(range(12))
    assert json.dumps(world.executor.hosts())


def test_isolated_hosts_of_one_job_reach_each_other_alone(confined):
    """Needs root: else the executor must refuse, not pretend."""
    peers = {"algo-1": "127.78.1.1", "algo-2": "127.78.1.2"}
    listen = (
        "import socket\n"
        "server = socket.create_server(('algo-1', 45672))\n"
        "print('listening', flush=True)\n"
        "print(server.accept()[0].recv(100).decode())"
    )
    first = confined.start(listen, peers=peers, network=False)
    if os.geteuid() != 0:
        assert "root" in confined.ended(first).reason
        return
    confined.said(first, "listening")
    with socket.create_server(("127.0.0.1", 0)) as server:
        second = confined.start(
            PROBE + "import socket\n"
            "socket.create_connection(('algo-1', 45672)).send(b'hello')\n"
            f"print(json.dumps(tried(lambda: socket.create_connection(('127.0.0.1', {server.getsockname()[1]}), 2))))",
            job=first.job,
            host="algo-2",
            peers=peers,
            network=False,
            log=LogTarget("/test", f"{first.job}-2"),
        )
        assert confined.report(second) == "ConnectionRefusedError"
    confined.ended(first)
    assert "hello" in confined.lines(first)


@pytest.mark.skipif(not memory.available(), reason="no control group may be made here")
def test_memory_is_limited(confined):
    script = "data = bytearray(400_000_000)\nfor at in range(0, len(data), 4096): data[at] = 1\nprint('fits')"
    seen = confined.run(script, resources=Resources(memory_bytes=200 * 1024**2))
    assert (seen.outcome, seen.failure) == (Outcome.FAILED, Failure.ALGORITHM)
    assert "ran out of memory: it may use 200 MiB" in seen.reason
    assert confined.run(script, resources=Resources(memory_bytes=800 * 1024**2)).outcome is Outcome.COMPLETED
