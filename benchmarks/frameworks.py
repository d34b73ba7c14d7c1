"""What else one serves a model with: each framework as its own documentation says for production, on this machine.

All serve the same XGBoost model file and an echo, take the same row and answer the same bytes, through `apps/`, where
they let an application decide that: LitServe takes JSON, and MLServer takes and answers the Open Inference Protocol.
Access logs and telemetry are off. XGBoost has one thread in every process.
"""

import json
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen
from tempfile import TemporaryDirectory

from benchmarks import peers
from benchmarks.compare import tree
from benchmarks.signing import plain

_CPUS = os.cpu_count() or 1
_SCORING = ("numpy", "xgboost-cpu")


@dataclass(frozen=True)
class Job:
    """What all have to do: serve a model file, answer `echo` with itself and the CSV `row` with its score."""

    model: Path
    echo: bytes
    row: bytes


@dataclass(frozen=True)
class Peer:
    """A framework that was started and may not be ready. `echo` and `row` are whole requests; `body_of` finds what was
    echoed or scored in the body of an answer."""

    name: str
    versions: str
    port: int
    processes: Callable[[], list[int]]
    echo: bytes
    row: bytes | None
    body_of: Callable[[bytes], bytes] = bytes


@contextmanager
def bare_uvicorn(job: Job) -> Iterator[Peer]:
    """The floor: an ASGI function on uvicorn with uvloop and httptools, a process for each CPU, and no model."""
    port = peers.free_port()
    with peers.running(peers.uvicorn("bare:echo", port, "--workers", str(_CPUS))) as process:
        versions = peers.versions(peers.environment(), ["uvicorn"])
        asked = plain("POST", port, "/", body=job.echo)
        yield Peer("uvicorn, bare ASGI", versions, port, tree(process.pid), asked, None)


@contextmanager
def fastapi(job: Job) -> Iterator[Peer]:
    """FastAPI on uvicorn with a worker process for each CPU ("Server Workers" in its documentation)."""
    port = peers.free_port()
    with _running(job, peers.uvicorn("fastapi_models:app", port, "--workers", str(_CPUS))) as process:
        yield _peer("FastAPI", peers.environment(), ["fastapi"], port, process, job.echo, job.row)


@contextmanager
def gunicorn_flask(job: Job) -> Iterator[Peer]:
    """Flask under gunicorn with (2 x CPUs) + 1 workers, as its documentation says, of the gevent kind, which keeps
    connections and is what SageMaker's own containers use."""
    folder, port = peers.environment("gunicorn", ("gunicorn[gevent]", "flask", *_SCORING)), peers.free_port()
    command = [str(folder / "gunicorn"), "--chdir", str(peers.APPS), "--bind", f"127.0.0.1:{port}"]
    command += ["--workers", str(2 * _CPUS + 1), "--worker-class", "gevent", "flask_models:app"]
    with _running(job, command) as process:
        yield _peer("gunicorn + Flask", folder, ["gunicorn", "gevent", "flask"], port, process, job.echo, job.row)


@contextmanager
def litserve(job: Job) -> Iterator[Peer]:
    """LitServe with a worker and an API server for each CPU, and its fast queue, which it advises above 100 requests a
    second. It takes JSON."""
    folder, port = peers.environment("litserve", ("litserve", *_SCORING)), peers.free_port()
    command = [str(folder / "python"), str(peers.APPS / "litserve_models.py"), str(port), str(_CPUS)]
    row = b'{"instances":[[%s]]}' % job.row
    with _running(job, command) as process:
        yield _peer("LitServe", folder, ["litserve"], port, process, job.echo, row, "application/json")


@contextmanager
def bentoml(job: Job) -> Iterator[Peer]:
    """BentoML with a worker for each CPU (`workers="cpu_count"`)."""
    folder, port = peers.environment("bentoml", ("bentoml", *_SCORING)), peers.free_port()
    command = [str(folder / "bentoml"), "serve", "bentoml_models:Models", "--working-dir", str(peers.APPS)]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    with (
        TemporaryDirectory(prefix="bench-bentoml-") as home,
        _running(job, command, BENTOML_DO_NOT_TRACK="True", BENTOML_HOME=home) as process,
    ):
        yield _peer("BentoML", folder, ["bentoml"], port, process, job.echo, job.row, "text/plain")


@contextmanager
def mlserver(job: Job) -> Iterator[Peer]:
    """MLServer with a parallel worker for each CPU, out of debug mode, and its own XGBoost runtime. A row and
    its score are tensors of the Open Inference Protocol, and so is the echo, of one string."""
    # its workers do not start on newer uvloops, which make no event loop unasked
    packages = ("mlserver", "mlserver-xgboost", "xgboost-cpu", "scikit-learn", "uvloop<0.22")
    folder, port = peers.environment("mlserver", packages, without="xgboost"), peers.free_port()
    runtimes = {
        "echo": {"implementation": "mlserver_echo.Echo"},
        "trees": {"implementation": "mlserver_xgboost.XGBoostModel", "parameters": {"uri": str(job.model)}},
    }
    settings = {"debug": False, "host": "127.0.0.1", "http_port": port, "parallel_workers": _CPUS}
    settings |= {"grpc_port": peers.free_port(), "metrics_port": peers.free_port()}
    features = [float(part) for part in job.row.split(b",")]
    with TemporaryDirectory(prefix="bench-mlserver-", ignore_cleanup_errors=True) as repository:
        for name, runtime in runtimes.items():
            (Path(repository) / name).mkdir()
            (Path(repository) / name / "model-settings.json").write_text(json.dumps({"name": name} | runtime))
        (Path(repository) / "settings.json").write_text(json.dumps(settings))
        with _running(job, [str(folder / "mlserver"), "start", "."], folder=Path(repository)) as process:
            yield Peer(
                "MLServer",
                peers.versions(folder, ["mlserver", "mlserver-xgboost"]),
                port,
                tree(process.pid),
                _inference(port, "echo", [1], "BYTES", [job.echo.decode()]),
                _inference(port, "trees", [1, len(features)], "FP32", features),
                lambda body: str(json.loads(body)["outputs"][0]["data"][0]).encode(),
            )


@contextmanager
def ray_serve(job: Job) -> Iterator[Peer]:
    """Ray Serve with a replica of one CPU for each CPU, behind its HAProxy and with its throughput options, which its
    documentation advises for high throughput."""
    folder, port = peers.environment("ray-serve", ("ray[serve]", *_SCORING)), peers.free_port()
    variables = {
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_SERVE_ENABLE_HA_PROXY": "1",
        "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
        "RAY_SERVE_HAPROXY_METRICS_PORT": str(peers.free_port()),
        "RAY_SERVE_HAPROXY_STATS_PORT": str(peers.free_port()),
    }
    with TemporaryDirectory(prefix="bench-ray-", ignore_cleanup_errors=True) as home:
        for name in ("CONFIG_FILE_LOC", "SOCKET_PATH", "SERVER_STATE_BASE", "SERVER_STATE_FILE"):
            variables[f"RAY_SERVE_HAPROXY_{name}"] = f"{home}/{name.lower()}"
        command = [str(folder / "python"), str(peers.APPS / "ray_serve_models.py"), str(port), str(_CPUS), home]
        with _running(job, command, **variables) as process:
            yield _peer("Ray Serve", folder, ["ray"], port, process, job.echo, job.row)


ALL: tuple[Callable[[Job], AbstractContextManager[Peer]], ...] = (
    bare_uvicorn,
    fastapi,
    gunicorn_flask,
    litserve,
    bentoml,
    mlserver,
    ray_serve,
)


def _running(
    job: Job, command: list[str], *, folder: Path | None = None, **variables: str
) -> AbstractContextManager[Popen[bytes]]:
    shared = {"MODEL": str(job.model), "PYTHONPATH": str(peers.APPS), "OMP_NUM_THREADS": "1"}
    return peers.running(command, folder=folder, **(shared | variables))


def _peer(
    name: str,
    folder: Path,
    packages: list[str],
    port: int,
    process: Popen[bytes],
    echo: bytes,
    row: bytes,
    row_type: str = "text/csv",
) -> Peer:
    """A framework that serves the apps' two routes."""
    echo_type = row_type if row_type == "text/plain" else "application/json"
    return Peer(
        name,
        peers.versions(folder, packages),
        port,
        tree(process.pid),
        plain("POST", port, "/echo", body=echo, content_type=echo_type),
        plain("POST", port, "/invocations", body=row, content_type=row_type),
    )


def _inference(port: int, model: str, shape: list[int], datatype: str, data: list[float] | list[str]) -> bytes:
    tensor = {"name": "input", "shape": shape, "datatype": datatype, "data": data}
    return plain("POST", port, f"/v2/models/{model}/infer", body=json.dumps({"inputs": [tensor]}).encode())
