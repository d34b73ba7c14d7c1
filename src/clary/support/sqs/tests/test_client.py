"""What real clients see over a real socket: boto3, long polls, the protocol of before, a server that is killed."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlencode, urlsplit
from xml.etree import ElementTree

import botocore.session
import pytest
import urllib3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

from clary.testing import eventually, kill_role, start_server, stop_server

HIDDEN_SECONDS = 4
NAMESPACE = "{http://queue.amazonaws.com/doc/2012-11-05/}"


@pytest.fixture
def sqs(server):
    return server.client("sqs")


@pytest.fixture
def url(sqs, unique):
    made = sqs.create_queue(QueueName=unique("jobs"))["QueueUrl"]
    yield made
    sqs.delete_queue(QueueUrl=made)


def test_messages_through_boto3(sqs, url):
    attributes = {"n": {"DataType": "Number", "StringValue": "1"}, "b": {"DataType": "Binary", "BinaryValue": b"\0"}}
    sqs.send_message(QueueUrl=url, MessageBody="hällo", MessageAttributes=attributes)
    (message,) = sqs.receive_message(QueueUrl=url, MessageAttributeNames=["All"], AttributeNames=["All"])["Messages"]
    assert message["Body"] == "hällo"
    assert message["MessageAttributes"] == attributes
    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    assert "Messages" not in sqs.receive_message(QueueUrl=url)


def test_errors_have_the_names_that_programs_catch(sqs, url):
    with pytest.raises(sqs.exceptions.QueueDoesNotExist) as caught:
        sqs.send_message(QueueUrl=url + "-not", MessageBody="x")
    assert caught.value.response["Error"]["Code"] == "AWS.SimpleQueueService.NonExistentQueue"
    with pytest.raises(sqs.exceptions.ReceiptHandleIsInvalid):
        sqs.delete_message(QueueUrl=url, ReceiptHandle="x")


def test_a_waiting_receiver_is_woken_by_a_send(sqs, url):
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(sqs.receive_message, QueueUrl=url, WaitTimeSeconds=20)
        threading.Event().wait(0.5)
        started = time.monotonic()
        sqs.send_message(QueueUrl=url, MessageBody="now")
        assert waiting.result()["Messages"][0]["Body"] == "now"
        assert time.monotonic() - started < 15, "it did not wait to the end"


def test_a_waiting_receiver_sees_what_becomes_visible(sqs, url):
    started = time.monotonic()
    sqs.send_message(QueueUrl=url, MessageBody="later", DelaySeconds=1)
    assert sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20)["Messages"][0]["Body"] == "later"
    assert 0.9 < time.monotonic() - started < 15, "it did not wait to the end"


def test_a_wait_ends(sqs, url):
    started = time.monotonic()
    assert "Messages" not in sqs.receive_message(QueueUrl=url, WaitTimeSeconds=1)
    assert time.monotonic() - started > 0.9


def test_many_waiting_receivers_hold_no_threads(server, sqs, url):
    patient = server.client("sqs", config=Config(max_pool_connections=60, retries={"max_attempts": 0}))

    def receive():
        return eventually(lambda: patient.receive_message(QueueUrl=url, WaitTimeSeconds=20).get("Messages"))

    with ThreadPoolExecutor(50) as pool:
        waiting = [pool.submit(receive) for _ in range(50)]
        threading.Event().wait(1.0)
        for number in range(50):
            sqs.send_message(QueueUrl=url, MessageBody=str(number))
        got = [message["Body"] for each in waiting for message in each.result()]
    assert sorted(map(int, got)) == list(range(50))


def query(server, address, **form):
    """Ask in the query protocol, as SDKs did before 2023."""
    body = urlencode({"Version": "2012-11-05", **form})
    request = AWSRequest("POST", address, data=body, headers={"content-type": "application/x-www-form-urlencoded"})
    SigV4Auth(Credentials(server.access_key, server.secret), "sqs", "us-east-1").add_auth(request)
    with urllib3.PoolManager() as pool:
        answer = pool.request("POST", address, body=body, headers=dict(request.headers), retries=False)
    return answer.status, ElementTree.fromstring(answer.data)


def test_the_query_protocol_of_before(server, unique):
    name = unique("old")
    form = {"QueueName": name, "Attribute.1.Name": "VisibilityTimeout", "Attribute.1.Value": "7", "Tag.1.Key": "k"}
    status, made = query(server, server.endpoint, Action="CreateQueue", **form, **{"Tag.1.Value": "v"})
    assert status == 200
    url = made.findtext(f".//{NAMESPACE}QueueUrl")
    assert urlsplit(url).path.endswith(name)
    attribute = {
        "MessageAttribute.1.Name": "n",
        "MessageAttribute.1.Value.DataType": "String",
        "MessageAttribute.1.Value.StringValue": "v",
    }
    _, sent = query(server, url, Action="SendMessage", MessageBody="hello", **attribute)
    assert sent.findtext(f".//{NAMESPACE}MD5OfMessageBody") == "5d41402abc4b2a76b9719d911017c592"
    _, found = query(
        server, url, Action="ReceiveMessage", **{"AttributeName.1": "All", "MessageAttributeName.1": "All"}
    )
    message = found.find(f"{NAMESPACE}ReceiveMessageResult/{NAMESPACE}Message")
    assert message.findtext(f"{NAMESPACE}Body") == "hello"
    names = {each.findtext(f"{NAMESPACE}Name") for each in message.findall(f"{NAMESPACE}Attribute")}
    assert "ApproximateReceiveCount" in names
    handle = message.findtext(f"{NAMESPACE}ReceiptHandle")
    entries = {
        "DeleteMessageBatchRequestEntry.1.Id": "a",
        "DeleteMessageBatchRequestEntry.1.ReceiptHandle": handle,
    }
    _, deleted = query(server, url, Action="DeleteMessageBatch", **entries)
    assert deleted.findtext(f".//{NAMESPACE}DeleteMessageBatchResultEntry/{NAMESPACE}Id") == "a"
    _, attributes = query(server, url, Action="GetQueueAttributes", **{"AttributeName.1": "VisibilityTimeout"})
    assert attributes.findtext(f".//{NAMESPACE}Attribute/{NAMESPACE}Value") == "7"
    assert query(server, url, Action="DeleteQueue")[0] == 200
    status, error = query(server, url, Action="SendMessage", MessageBody="x")
    assert status == 400
    assert error.findtext(f".//{NAMESPACE}Code") == "AWS.SimpleQueueService.NonExistentQueue"


def test_every_query_name_is_one_that_the_model_has():
    from clary.kernel.wire import sqs_query

    shapes = botocore.session.get_session().get_service_data("sqs")["shapes"]
    lists = {name for name, shape in shapes.items() if shape["type"] == "list" and shape.get("flattened")}
    maps = {name for name, shape in shapes.items() if shape["type"] == "map"}
    assert lists == set(sqs_query._ELEMENTS)
    assert maps == set(sqs_query._ENTRIES)
    assert set(sqs_query._CODES) <= set(shapes)


@pytest.mark.slow
def test_what_was_acknowledged_survives_kill_9(tmp_path):
    """Kill the gateway in the midst of sends and deletes; nothing acknowledged may be undone."""
    server = start_server(tmp_path / "home", warm_interpreters=False)
    sent: set[str] = set()
    deleted: set[str] = set()
    doomed: set[str] = set()  # deletes that nobody answered may have been done
    try:
        quick = Config(retries={"max_attempts": 0}, read_timeout=20)
        sqs = server.client("sqs")
        url = sqs.create_queue(QueueName="jobs", Attributes={"VisibilityTimeout": str(HIDDEN_SECONDS)})["QueueUrl"]
        stop = threading.Event()

        def produce(worker):
            client = server.client("sqs", config=quick)
            for number in range(100_000):
                if stop.is_set():
                    return
                body = f"{worker}-{number}"
                try:
                    client.send_message(QueueUrl=url, MessageBody=body)
                except Exception:  # noqa: BLE001 - not acknowledged: it may be there or not
                    continue
                sent.add(body)

        def consume():
            client = server.client("sqs", config=quick)
            while not stop.is_set():
                try:
                    for message in client.receive_message(QueueUrl=url).get("Messages", []):
                        doomed.add(message["Body"])
                        client.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
                        deleted.add(message["Body"])
                except Exception:  # noqa: BLE001 - the next round tries again
                    stop.wait(0.05)

        with ThreadPoolExecutor(4) as pool:
            workers = [pool.submit(produce, 0), pool.submit(produce, 1), pool.submit(consume)]
            try:
                for _ in range(3):
                    before = len(sent), len(deleted)
                    eventually(lambda before=before: len(sent) > before[0] + 10 and len(deleted) > before[1])
                    kill_role(server, "gateway")
                eventually(lambda: len(sent) > 40)
            finally:
                stop.set()
            for worker in workers:
                worker.result()
        stop_server(server)
        server = start_server(tmp_path / "home", warm_interpreters=False)
        left = drain(server.client("sqs"))
        assert sent - doomed <= left
        assert not deleted & left
    finally:
        stop_server(server)


def drain(sqs):
    """The bodies of every message of the queue, those that a receive cut short has hidden included."""
    url = sqs.get_queue_url(QueueName="jobs")["QueueUrl"]
    found: set[str] = set()
    receive = {"QueueUrl": url, "MaxNumberOfMessages": 10, "WaitTimeSeconds": HIDDEN_SECONDS + 1}
    while messages := sqs.receive_message(**receive).get("Messages", []):
        found |= {message["Body"] for message in messages}
        handles = [{"Id": str(n), "ReceiptHandle": each["ReceiptHandle"]} for n, each in enumerate(messages)]
        sqs.delete_message_batch(QueueUrl=url, Entries=handles)
    return found


def test_policies_of_users_name_queues(server, unique):
    """A user that may use one queue may not use another."""
    iam, sqs = server.client("iam"), server.client("sqs")
    user, mine, other = unique("user"), unique("mine"), unique("other")
    urls = {name: sqs.create_queue(QueueName=name)["QueueUrl"] for name in (mine, other)}
    iam.create_user(UserName=user)
    arn = sqs.get_queue_attributes(QueueUrl=urls[mine], AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    statement = {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": arn}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_user_policy(UserName=user, PolicyName="p", PolicyDocument=policy)
    key = iam.create_access_key(UserName=user)["AccessKey"]
    client = server.client("sqs", aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"])
    client.send_message(QueueUrl=urls[mine], MessageBody="x")
    for act in (
        lambda: client.send_message(QueueUrl=urls[other], MessageBody="x"),
        lambda: client.receive_message(QueueUrl=urls[mine]),
    ):
        with pytest.raises(client.exceptions.ClientError) as caught:
            act()
        assert caught.value.response["Error"]["Code"] in {"AccessDenied", "AccessDeniedException"}
