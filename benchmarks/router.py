"""Claim: finding a server for an invocation, choosing, asking and counting cost less than a usual HTTP client alone.

Our InvokeEndpoint handler, called in this process, against aiohttp's client; both ask the same echo server on the
same Unix socket. Neither has a gateway before it: `serving.py` measures the whole way.
"""

import asyncio
import subprocess
import sys
import threading
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import uvloop

from benchmarks import peers
from clary.kernel.core.settings import Settings
from clary.kernel.rooms import Platform
from clary.kernel.serving.routes import DOMAIN, Route, Target, dump_route, route_key, write_route
from clary.systems.endpoints.api.invocations import invoke_endpoint
from clary.systems.endpoints.router import router_of

_ACCOUNT, _REGION = "000000000000", "us-east-1"
_BODY = b"0.1,0.2,0.3,0.4,0.5,0.6,0.7,0.8,0.9,1.0,0.11,0.12,0.13"
_CONNECTIONS = 16
_ROUNDS = 5
_EACH_SECOND = 5000


def run(seconds: float) -> None:
    count = int(_EACH_SECOND * seconds)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "echo"
        echo = subprocess.Popen([sys.executable, str(peers.APPS / "echo_socket.py"), str(path)])
        platform = Platform(Settings.load({}, home=str(Path(folder) / "home")))
        try:
            pause = threading.Event()
            while not path.exists() and echo.poll() is None:
                pause.wait(0.01)
            target = Target("All", 1.0, 1, {"i-1": [f"unix:{path}"]})
            write_route(platform.kv(DOMAIN), route_key(_ACCOUNT, _REGION, "e"), dump_route(Route([target])))
            rounds = [(uvloop.run(_ask(platform, count)), _ask_with_aiohttp(path, count)) for _ in range(_ROUNDS)]
        finally:
            platform.close()
            echo.kill()
            echo.wait()
    print(f"\nThe router alone: {_CONNECTIONS} connections to an echo server on a Unix socket")
    print(f"  {'':28}{'CPU us/op':>11}{'per s':>11}")
    for name, found in (
        ("Clary's handler", [one[0] for one in rounds]),
        ("aiohttp client", [one[1] for one in rounds]),
    ):
        print(
            f"  {name:28}{median(cpu for cpu, _ in found) * 1e6:>11,.0f}{1 / median(took for _, took in found):>11,.0f}"
        )


async def _ask(platform: Platform, count: int) -> tuple[float, float]:
    """CPU seconds and seconds for each request."""
    context = platform.acting_as_root(_ACCOUNT, _REGION, "sagemaker-runtime", "InvokeEndpoint")

    async def ask(times: int) -> None:
        for _ in range(times):
            answer = await invoke_endpoint(context, EndpointName="e", Body=_BODY, ContentType="text/csv")
            assert answer["Body"] == _BODY

    await ask(200)
    started, used = time.perf_counter(), time.process_time()
    await asyncio.gather(*(ask(count // _CONNECTIONS) for _ in range(_CONNECTIONS)))
    took = (time.process_time() - used) / count, (time.perf_counter() - started) / count
    router_of(platform).close()
    return took


def _ask_with_aiohttp(path: Path, count: int) -> tuple[float, float]:
    python = peers.environment() / "python"
    script = str(peers.APPS / "ask_with_aiohttp.py")
    command = [str(python), script, str(path), _BODY.decode(), str(_CONNECTIONS), str(count)]
    cpu, took = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return float(cpu), float(took)
