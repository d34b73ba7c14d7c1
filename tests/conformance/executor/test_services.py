"""Services stay, tell how they feel, and can be reached, also without a network."""

import http.client
import os
import signal
import socket
import urllib.request

import pytest

from clary.kernel.jobs.contract import InvalidSpec, Kind, Outcome

SERVER = (
    "import http.server, socketserver\n"
    "class Handler(http.server.BaseHTTPRequestHandler):\n"
    "    def do_GET(self):\n"
    "        self.send_response(503 if os.path.exists(f'{ML}/model/ill') else 200)\n"
    "        self.send_header('Content-Length', '2')\n"
    "        self.end_headers()\n"
    "        self.wfile.write(b'ok')\n"
    "    def do_POST(self):\n"
    "        open(f'{ML}/model/ill', 'w').close()\n"
    "        self.do_GET()\n"
    "    def address_string(self): return 'client'\n"
)
TCP = SERVER + "http.server.ThreadingHTTPServer(('127.0.0.1', int(os.environ['PORT'])), Handler).serve_forever()"
UNIX = SERVER + "socketserver.ThreadingUnixStreamServer(f'{ML}/run/serve.sock', Handler).serve_forever()"


@pytest.fixture
def port():
    """A port that nobody else is given meanwhile: it is held by a socket that does not listen, beside which one may."""
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


def serve(world, script, **members):
    spec = world.start(script, kind=Kind.SERVICE, **members)
    world.until(lambda: world.observe(spec).healthy or world.observe(spec).ended)
    assert world.observe(spec).healthy, world.observe(spec)
    return spec


def test_service_on_a_port(world, port):
    spec = serve(world, TCP, port=port, environment={"PORT": str(port)})
    seen = world.observe(spec)
    with urllib.request.urlopen(f"http://127.0.0.1:{seen.port}/ping") as answer:
        assert answer.read() == b"ok"
    world.executor.stop(spec.job, spec.host)
    assert world.ended(spec).outcome is Outcome.STOPPED
    assert world.observe(spec).healthy is None


def test_service_on_a_socket(world):
    answers_on_its_socket(world, network=True)


def test_service_on_a_socket_needs_no_network(confined):
    answers_on_its_socket(confined, network=False)


def answers_on_its_socket(world, network):
    spec = serve(world, UNIX, socket="run/serve.sock", network=network)
    address = world.observe(spec).socket
    assert len(os.fsencode(address)) < 108
    connection = http.client.HTTPConnection("localhost")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(address)
    connection.request("GET", "/ping")
    assert connection.getresponse().read() == b"ok"
    connection.close()
    world.executor.forget(spec.job, spec.host)
    assert not os.path.lexists(os.path.dirname(os.path.dirname(address)))


def test_illness_is_told(world, port):
    spec = serve(world, TCP, port=port, environment={"PORT": str(port)})
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/make-ill", data=b"")
    world.until(lambda: world.observe(spec).healthy is False)
    assert not world.observe(spec).ended
    world.executor.forget(spec.job, spec.host)


def test_crash_is_told(world, port):
    spec = serve(world, TCP, port=port, environment={"PORT": str(port)})
    os.kill(world.family(spec)[-1].pid, signal.SIGKILL)
    seen = world.ended(spec)
    assert (seen.outcome, seen.signal) == (Outcome.FAILED, signal.SIGKILL)


def test_service_that_never_answers_is_never_healthy(world, port):
    spec = world.start("print('ready')\nsignal.pause()", kind=Kind.SERVICE, port=port)
    world.said(spec, "ready")
    assert world.observe(spec).healthy is None
    world.executor.forget(spec.job, spec.host)


def test_service_without_an_address_is_refused(world):
    with pytest.raises(InvalidSpec, match="port"):
        world.spec("pass", kind=Kind.SERVICE)
