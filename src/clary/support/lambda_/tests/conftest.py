"""Functions on a server that lets idle instances go and retries soon, and what tests do with them."""

import base64
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from clary.testing import Server, eventually, serving

ROLE = "arn:aws:iam::000000000000:role/for-functions"

BODY = """
import json, logging, os, sys, time

log = logging.getLogger()
log.setLevel("INFO")
calls = 0


def handler(event, context):
    global calls
    calls += 1
    do = event.get("do") if isinstance(event, dict) else None
    if do == "print":
        print(event["text"])
        log.info("told %s", event["text"])
    elif do == "raise":
        raise ValueError(event["message"])
    elif do == "exit":
        sys.exit(event["code"])
    elif do == "crash":
        os.kill(os.getpid(), 11)
    elif do == "sleep":
        time.sleep(event["seconds"])
    elif do == "eat":
        return len(bytearray(b"x") * (event["mb"] << 20))
    elif do == "set":
        return {1, 2}
    elif do == "much":
        return "x" * event["size"]
    elif do == "environ":
        return dict(os.environ)
    elif do == "context":
        said = context.client_context
        return {
            "request": context.aws_request_id,
            "name": context.function_name,
            "version": context.function_version,
            "arn": context.invoked_function_arn,
            "memory": context.memory_limit_in_mb,
            "remaining": context.get_remaining_time_in_millis(),
            "stream": context.log_stream_name,
            "group": context.log_group_name,
            "custom": said.custom if said else None,
        }
    elif do == "count":
        return [os.getpid(), context.log_stream_name, calls]
    elif do == "put":
        import boto3
        boto3.client("s3").put_object(Bucket=event["bucket"], Key=event["key"], Body=json.dumps(event).encode())
    return {"echo": event}
"""


def zipped(**modules: str) -> bytes:
    """A zip of Python modules by name; two underscores stand for a slash."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, text in modules.items():
            archive.writestr(name.replace("__", "/") + ".py", text)
    return file.getvalue()


@dataclass(frozen=True)
class Answer:
    """How an invocation ended."""

    value: Any
    error: str | None
    version: str | None
    log: str


@dataclass(frozen=True)
class Lambda:
    """A server with functions, and names of one's own."""

    server: Server
    unique: Callable[[str], str]

    @property
    def client(self) -> Any:
        return self.server.client("lambda")

    def create(self, name: str = "", body: str = BODY, **given: Any) -> str:
        name = name or self.unique("function")
        settings: dict[str, Any] = {
            "Runtime": "python3.12",
            "Handler": "app.handler",
            "Role": ROLE,
            "Code": {"ZipFile": zipped(app=body)},
            "Timeout": 60,
        }
        self.client.create_function(FunctionName=name, **(settings | given))
        return name

    def call(self, name: str, event: Any = None, **given: Any) -> Answer:
        payload = b"" if event is None else json.dumps(event).encode()
        answer = self.client.invoke(FunctionName=name, Payload=payload, **given)
        body = answer["Payload"].read()
        log = base64.b64decode(answer.get("LogResult", "")).decode()
        value = json.loads(body) if body else None
        return Answer(value, answer.get("FunctionError"), answer.get("ExecutedVersion"), log)


def kill(server: Server, process: str) -> None:
    """Kill one of a server's processes (gateway, controller, carrier), once it is there."""
    eventually(lambda: server.processes(process))[0].kill()


@pytest.fixture(scope="session")
def functions_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose asynchronous invocations are tried again within a second."""
    home = tmp_path_factory.mktemp("functions")
    with serving(home, "--ephemeral", function_retry_seconds=0.2, function_idle_seconds=60) as running:
        yield running


@pytest.fixture
def functions(functions_server: Server, unique: Callable[[str], str]) -> Lambda:
    return Lambda(functions_server, unique)
