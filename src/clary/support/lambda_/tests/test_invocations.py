"""What callers see: answers, failures as AWS words them, logs, and what a handler finds around it."""

import base64
import contextlib
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from clary.kernel.rooms import Platform
from clary.support.lambda_.cards import DOMAIN
from clary.support.lambda_.instances import all_instances
from clary.support.lambda_.tests.conftest import Lambda, zipped
from clary.testing import eventually, serving


def test_an_event_goes_in_and_an_answer_comes_out(functions: Lambda) -> None:
    name = functions.create()
    answer = functions.call(name, {"a": [1, "ä", None]})
    assert (answer.value, answer.error, answer.version) == ({"echo": {"a": [1, "ä", None]}}, None, "$LATEST")
    assert functions.call(name).value == {"echo": {}}
    assert functions.client.invoke(FunctionName=name, InvocationType="DryRun")["StatusCode"] == 204


def test_a_handler_finds_what_aws_gives_it(functions: Lambda) -> None:
    name = functions.create(MemorySize=256, Timeout=300, Environment={"Variables": {"MINE": "1"}})
    said = base64.b64encode(json.dumps({"custom": {"k": "v"}}).encode()).decode()
    context = functions.call(name, {"do": "context"}, ClientContext=said).value
    arn = f"arn:aws:lambda:us-east-1:000000000000:function:{name}"
    assert (context["name"], context["version"], context["arn"], context["memory"]) == (name, "$LATEST", arn, "256")
    assert 200_000 < context["remaining"] <= 300_000
    assert context["custom"] == {"k": "v"}
    assert re.fullmatch(r"\d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}", context["stream"])
    assert context["group"] == f"/aws/lambda/{name}"
    found = functions.call(name, {"do": "environ"}).value
    assert found["MINE"] == "1"
    assert found["_HANDLER"] == "app.handler"
    assert found["AWS_LAMBDA_FUNCTION_NAME"] == name
    assert found["AWS_EXECUTION_ENV"] == "AWS_Lambda_python3.12"
    assert found["LAMBDA_TASK_ROOT"] == "/var/task"
    assert found["AWS_ENDPOINT_URL"] == functions.server.endpoint
    assert "CLARY_BIND_UNIX_SOCKET" not in found


def test_what_a_function_does_with_boto3_happens_here(functions: Lambda) -> None:
    s3, bucket = functions.server.client("s3"), functions.unique("bucket")
    s3.create_bucket(Bucket=bucket)
    name = functions.create(Timeout=60, MemorySize=512)
    answer = functions.call(name, {"do": "put", "bucket": bucket, "key": "made/by"})
    assert answer.error is None
    assert json.loads(s3.get_object(Bucket=bucket, Key="made/by")["Body"].read())["key"] == "made/by"


def test_failures_are_told_as_aws_tells_them(functions: Lambda) -> None:
    name = functions.create(Timeout=60)
    raised = functions.call(name, {"do": "raise", "message": "no"}, LogType="Tail")
    assert raised.error == "Unhandled"
    assert (raised.value["errorType"], raised.value["errorMessage"]) == ("ValueError", "no")
    assert 'File "/var/task/app.py"' in raised.value["stackTrace"][0]
    assert "[ERROR] ValueError: no" in raised.log
    ended = functions.call(name, {"do": "exit", "code": 3})
    assert ended.value["errorType"] == "Runtime.ExitError"
    assert ended.value["errorMessage"].endswith("Error: Runtime exited with error: exit status 3")
    crashed = functions.call(name, {"do": "crash"})
    assert crashed.value["errorMessage"].endswith("Runtime exited with error: signal: Segmentation fault")
    odd = functions.call(name, {"do": "set"})
    assert odd.value["errorType"] == "Runtime.MarshalError"
    much = functions.call(name, {"do": "much", "size": 7 << 20})
    assert much.value["errorType"] == "Function.ResponseSizeTooLarge"
    assert functions.call(name, 1).value == {"echo": 1}


def test_a_function_that_runs_late_or_takes_too_much_memory_is_ended(functions: Lambda) -> None:
    name = functions.create(Timeout=10)  # what is not late must be answered within it
    first = functions.call(name, {"do": "count"}).value
    late = functions.call(name, {"do": "sleep", "seconds": 60}, LogType="Tail")
    assert late.error == "Unhandled"
    assert late.value["errorMessage"].endswith("Error: Task timed out after 10.00 seconds")
    assert "Task timed out after 10.00 seconds" in late.log
    assert "Status: timeout" in late.log
    process, stream, calls = functions.call(name, {"do": "count"}).value
    assert (stream, calls) == (first[1], 1)
    assert process != first[0]
    functions.client.update_function_configuration(FunctionName=name, Timeout=60)
    ate = functions.call(name, {"do": "eat", "mb": 600}, LogType="Tail")
    assert ate.value["errorType"] == "Runtime.OutOfMemory"
    assert ate.value["errorMessage"].endswith("Error: Runtime exited with error: signal: killed")
    assert "Memory Size: 128 MB\tMax Memory Used: 128 MB" in ate.log
    assert functions.call(name, {}).error is None


@pytest.mark.parametrize(
    ("handler", "module", "kind", "message"),
    [
        ("app.nothing", "", "Runtime.HandlerNotFound", "Handler 'nothing' missing on module 'app'"),
        ("gone.handler", "", "Runtime.ImportModuleError", "Unable to import module 'gone': No module named 'gone'"),
        ("handler", "", "Runtime.MalformedHandlerName", "Bad handler 'handler'"),
        ("app.handler", "def handler(:", "Runtime.UserCodeSyntaxError", "Syntax error in module 'app'"),
        ("app.handler", "raise KeyError('x')", "KeyError", "'x'"),
        ("app.handler", "import sys; sys.exit(7)", "Runtime.ExitError", "exit status 7"),
    ],
)
def test_code_that_cannot_be_imported_says_why(
    functions: Lambda, handler: str, module: str, kind: str, message: str
) -> None:
    name = functions.create(Handler=handler, Code={"ZipFile": zipped(app=module)})
    for _ in range(2):
        answer = functions.call(name)
        assert (answer.error, answer.value["errorType"]) == ("Unhandled", kind)
        assert message in answer.value["errorMessage"]
    functions.client.update_function_configuration(FunctionName=name, Handler="app.handler")
    functions.client.update_function_code(FunctionName=name, ZipFile=zipped(app="def handler(e, c): return 'well'"))
    assert functions.call(name).value == "well"


def test_what_is_no_event_is_refused(functions: Lambda) -> None:
    name = functions.create()
    for given, code, status in [
        ({"Payload": b"{not json"}, "InvalidRequestContentException", 400),
        ({"Payload": b'"' + b"x" * 6_291_456 + b'"'}, "RequestTooLargeException", 413),
        ({"Payload": b'"' + b"x" * 1_048_576 + b'"', "InvocationType": "Event"}, "RequestTooLargeException", 413),
        ({"ClientContext": "!!"}, "InvalidParameterValueException", 400),
        ({"FunctionName": "nobody"}, "ResourceNotFoundException", 404),
        ({"Qualifier": "nowhere"}, "ResourceNotFoundException", 404),
        ({"FunctionName": "arn:aws:lambda:eu-west-1:000000000000:function:x"}, "ResourceNotFoundException", 404),
    ]:
        with pytest.raises(ClientError) as refused:
            functions.client.invoke(**({"FunctionName": name} | given))
        assert refused.value.response["Error"]["Code"] == code
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == status


def test_what_a_function_prints_is_in_its_log_stream_between_aws_lines(functions: Lambda) -> None:
    name = functions.create()
    functions.call(name, {"do": "print", "text": "tell-tale"})
    logs = functions.server.client("logs")

    def lines() -> list[str]:
        with contextlib.suppress(logs.exceptions.ResourceNotFoundException):  # made by what comes first
            found = logs.filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"]
            return [event["message"] for event in found]
        return []

    messages = eventually(lambda: any("REPORT" in line for line in lines()) and lines())
    kinds = [line.split(" ")[0].split("\t")[0] for line in messages]
    assert kinds == ["INIT_START", "START", "tell-tale", "[INFO]", "END", "REPORT"]
    assert messages[3].endswith("told tell-tale")
    assert re.search(r"Duration: [\d.]+ ms\tBilled Duration: \d+ ms\tMemory Size: 128 MB\tMax Memory", messages[5])


def test_metrics_tell_of_invocations(functions: Lambda) -> None:
    name = functions.create()
    functions.call(name)
    functions.call(name, {"do": "raise", "message": "no"})
    metrics = functions.server.client("cloudwatch")

    def total(metric: str) -> float:
        found = metrics.get_metric_statistics(
            Namespace="AWS/Lambda",
            MetricName=metric,
            Dimensions=[{"Name": "FunctionName", "Value": name}],
            StartTime=time.time() - 86_400,
            EndTime=time.time() + 86_400,
            Period=86_400,
            Statistics=["Sum"],
        )
        return sum(point["Sum"] for point in found["Datapoints"])

    eventually(lambda: total("Invocations") == 2)
    assert (total("Errors"), total("Throttles")) == (1, 0)
    assert total("Duration") > 0


@pytest.mark.slow
def test_as_many_instances_as_are_needed_at_once(functions: Lambda) -> None:
    name = functions.create(Timeout=60)
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(functions.call, name, {"do": "sleep", "seconds": 2}) for _ in range(4)]
        assert [one.result().error for one in asked] == [None] * 4
        streams = {functions.call(name, {"do": "count"}).value[1] for _ in range(3)}
    assert len(streams) == 1  # the oldest is taken when it is free, so that others may go


@pytest.mark.slow
def test_one_instance_is_shared_by_all_processes(functions: Lambda) -> None:
    """With one instance to be had, invocations of the gateway and of the carrier take turns."""
    s3, bucket = functions.server.client("s3"), functions.unique("turns")
    s3.create_bucket(Bucket=bucket)
    name = functions.create(Timeout=60, MemorySize=256)
    functions.client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=1)
    first = functions.call(name, {"do": "count"}).value
    for number in range(6):
        event = json.dumps({"do": "put", "bucket": bucket, "key": str(number)}).encode()
        functions.client.invoke(FunctionName=name, InvocationType="Event", Payload=event)
    answers = [functions.call(name, {"do": "count"}) for _ in range(20)]
    assert {answer.value[1] for answer in answers} == {first[1]}
    eventually(lambda: len(s3.list_objects_v2(Bucket=bucket).get("Contents", ())) == 6)


@pytest.mark.slow
def test_instances_that_nobody_needs_go_and_come_back(tmp_path: Path, unique: Callable[[str], str]) -> None:
    with serving(tmp_path / "home", "--ephemeral", function_idle_seconds=3) as server:
        functions = Lambda(server, unique)
        name = functions.create(Timeout=60)
        first = functions.call(name, {"do": "count"}).value

        def instances() -> int:
            platform = Platform(server.settings)
            try:
                return len(all_instances(platform.kv(DOMAIN)))
            finally:
                platform.close()

        eventually(lambda: instances() == 0)
        again = functions.call(name, {"do": "count"}).value
        assert (again[1] != first[1], again[2]) == (True, 1)


WORDS_BEFORE_THE_END = """
import os, socket, sys
from clary.runtime.functions.requests import Connection, Request
from clary.runtime.functions.server import Server

ours, theirs = socket.socketpair()
server = Server(socket.socket(socket.AF_UNIX), "app.handler", [sys.argv[1]], 128, 60.0)
server._begin(Connection(theirs), Request("POST", "/invocations", {}, b"{}"))
os.waitid(os.P_PID, server._worker.pid, os.WEXITED | os.WNOWAIT)
server._awake()
print(ours.recv(65536).decode())
"""


def test_what_a_worker_said_last_counts_though_its_end_is_heard_of_first(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("raise KeyError('x')")
    command = [sys.executable, "-c", WORDS_BEFORE_THE_END, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert '"errorType": "KeyError"' in done.stdout
