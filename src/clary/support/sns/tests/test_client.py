"""What real clients and web servers see: boto3, confirmation by URL, signatures OpenSSL checks, killed processes."""

import base64
import json
import queue
import shutil
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import urllib3

from clary.testing import eventually, kill_role, start_server, stop_server

PATIENCE_SECONDS = 120


@pytest.fixture
def sns(server):
    return server.client("sns")


@pytest.fixture
def topic(sns, unique):
    arn = sns.create_topic(Name=unique("news"))["TopicArn"]
    yield arn
    sns.delete_topic(TopicArn=arn)


class WebServer:
    """Takes notifications: `took` holds headers and documents; it answers with `statuses` while there are any."""

    def __init__(self):
        self.took = queue.Queue()
        self.statuses = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                status = outer.statuses.pop(0) if outer.statuses else 200
                if status == 200:
                    outer.took.put((dict(self.headers.items()), body.decode()))
                self.send_response(status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook?x=1"

    def close(self):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def web():
    made = WebServer()
    yield made
    made.close()


def get(url):
    with urllib3.PoolManager() as pool:
        answer = pool.request("GET", url, retries=False)
        return answer.status, answer.data


def confirmed(sns, topic, web, **attributes):
    sns.subscribe(TopicArn=topic, Protocol="http", Endpoint=web.url, Attributes=attributes)
    headers, body = web.took.get(timeout=PATIENCE_SECONDS)
    assert headers["x-amz-sns-message-type"] == "SubscriptionConfirmation"
    status, answer = get(json.loads(body)["SubscribeURL"])
    assert status == 200
    return answer.decode().partition("<SubscriptionArn>")[2].partition("<")[0], json.loads(body)


def verify(document, tmp_path):
    """Check a signature as the developer guide tells receivers to, with OpenSSL."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    names = (
        ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
        if document["Type"] == "Notification"
        else ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
    )
    text = "".join(f"{name}\n{document[name]}\n" for name in names if name in document)
    status, pem = get(document["SigningCertURL"])
    assert status == 200
    (tmp_path / "cert.pem").write_bytes(pem)
    (tmp_path / "signature").write_bytes(base64.b64decode(document["Signature"]))
    key = subprocess.run(
        [openssl, "x509", "-in", "cert.pem", "-pubkey", "-noout"], cwd=tmp_path, capture_output=True, check=True
    ).stdout
    (tmp_path / "key.pem").write_bytes(key)
    digest = {"1": "-sha1", "2": "-sha256"}[document["SignatureVersion"]]
    command = [openssl, "dgst", digest, "-verify", "key.pem", "-signature", "signature"]
    return subprocess.run(command, cwd=tmp_path, input=text.encode(), capture_output=True, check=False).returncode == 0


def test_topic_to_queue_takes_milliseconds(server, sns, topic, unique):
    sqs = server.client("sqs")
    url = sqs.create_queue(QueueName=unique("jobs"))["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})
    took = []
    for number in range(10):
        started = time.monotonic()
        sns.publish(TopicArn=topic, Message=str(number))
        (message,) = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20)["Messages"]
        took.append(time.monotonic() - started)
        assert message["Body"] == str(number)
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    assert min(took) < 1.0, f"every delivery waited for somebody to look again: {took}"


@pytest.mark.parametrize("version", ["1", "2"])
def test_a_web_server_confirms_and_gets_what_it_can_verify(sns, topic, web, tmp_path, version):
    sns.set_topic_attributes(TopicArn=topic, AttributeName="SignatureVersion", AttributeValue=version)
    subscription, confirmation = confirmed(sns, topic, web)
    assert verify(confirmation, tmp_path)
    sns.publish(TopicArn=topic, Message="hällo", Subject="greeting")
    headers, body = web.took.get(timeout=PATIENCE_SECONDS)
    document = json.loads(body)
    assert headers["x-amz-sns-subscription-arn"] == subscription
    assert headers["x-amz-sns-message-id"] == document["MessageId"]
    assert (document["Message"], document["Subject"]) == ("hällo", "greeting")
    assert verify(document, tmp_path)
    assert not verify(document | {"Message": "hallo"}, tmp_path)
    assert get(document["UnsubscribeURL"])[0] == 200
    assert sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"] == []


def test_raw_messages_and_retries(sns, topic, web):
    policy = {"healthyRetryPolicy": {"numRetries": 3, "numNoDelayRetries": 2, "minDelayTarget": 1, "maxDelayTarget": 1}}
    confirmed(sns, topic, web, RawMessageDelivery="true", DeliveryPolicy=json.dumps(policy))
    web.statuses[:] = [500, 503, 429]
    sns.publish(TopicArn=topic, Message="again")
    headers, body = web.took.get(timeout=PATIENCE_SECONDS)
    assert (body, headers["x-amz-sns-rawdelivery"]) == ("again", "true")
    assert web.statuses == []


def test_what_is_not_signed_is_taken_only_for_what_carries_its_proof(server, sns, topic, web):
    version = "Version=2010-03-31"
    status, body = get(f"{server.endpoint}/?Action=ConfirmSubscription&{version}&TopicArn={topic}&Token=guess")
    assert (status, b"InvalidParameter" in body) == (400, True)
    status, body = get(f"{server.endpoint}/?Action=DeleteTopic&{version}&TopicArn={topic}")
    assert (status, b"MissingAuthenticationToken" in body) == (403, True)
    subscription, _ = confirmed(sns, topic, web)
    assert get(f"{server.endpoint}/?Action=Unsubscribe&{version}&SubscriptionArn={subscription}")[0] == 200
    sns.subscribe(TopicArn=topic, Protocol="http", Endpoint=web.url)
    token = json.loads(web.took.get(timeout=PATIENCE_SECONDS)[1])["Token"]
    arn = sns.confirm_subscription(TopicArn=topic, Token=token, AuthenticateOnUnsubscribe="true")["SubscriptionArn"]
    assert get(f"{server.endpoint}/?Action=Unsubscribe&{version}&SubscriptionArn={arn}")[0] == 403
    sns.unsubscribe(SubscriptionArn=arn)


def test_errors_have_the_names_that_programs_catch(sns, topic):
    with pytest.raises(sns.exceptions.NotFoundException):
        sns.publish(TopicArn=topic + "-not", Message="x")
    with pytest.raises(sns.exceptions.InvalidParameterException):
        sns.subscribe(TopicArn=topic, Protocol="sms", Endpoint="+15550100")


@pytest.mark.slow
def test_what_was_published_is_delivered_after_kill_9(tmp_path, web):
    """Kill the gateway and the controller while messages are on their way: each arrives at least once."""
    server = start_server(tmp_path / "home", warm_interpreters=False)
    try:
        sns = server.client("sns")
        topic = sns.create_topic(Name="news")["TopicArn"]
        policy = {"healthyRetryPolicy": {"numRetries": 20, "minDelayTarget": 1, "maxDelayTarget": 1}}
        confirmed(sns, topic, web, RawMessageDelivery="true", DeliveryPolicy=json.dumps(policy))

        def publish(number):
            try:
                return sns.publish(TopicArn=topic, Message=str(number))
            except Exception:  # noqa: BLE001 - the gateway is coming back
                return None

        for number in range(60):
            if number % 20 == 10:
                kill_role(server, "controller" if number == 10 else "gateway")
            eventually(lambda number=number: publish(number))
        published, arrived = {str(number) for number in range(60)}, set()
        while published - arrived:
            arrived.add(web.took.get(timeout=PATIENCE_SECONDS)[1])
    finally:
        stop_server(server)
