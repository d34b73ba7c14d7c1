"""A queue is asked for by its URL, and no way to write one leads past a policy."""

import json
from contextlib import suppress
from dataclasses import replace

import pytest

from clary.kernel.auth.policies import Permissions, compile_document
from clary.kernel.auth.principals import Principal
from clary.kernel.core.errors import AwsError

ACCOUNT, REGION = "111122223333", "eu-west-1"
OPEN = f"arn:aws:sqs:{REGION}:{ACCOUNT}:open"
DOCUMENT = json.dumps({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "sqs:*", "Resource": OPEN}})
LIMITED = Principal("user", ACCOUNT, name="ada", permissions=Permissions((compile_document(DOCUMENT, "only"),)))


@pytest.mark.parametrize("behind", ["", "?x=/open", "#/open", ";/open", "%3F/open", "/../open", "?/open"])
def test_no_url_leads_past_a_policy(platform, call, make, behind):
    make("open")
    url = make("secret") + behind
    ctx = platform.acting_as_root(ACCOUNT, REGION, "sqs", "SendMessage")
    with suppress(AwsError):  # refused, or taken for the open queue
        platform.registry.call(replace(ctx, principal=LIMITED), {"QueueUrl": url, "MessageBody": "hello"})
    assert not call("ReceiveMessage", QueueUrl=make("secret")).get("Messages")


@pytest.mark.parametrize("url", ["http://[bad", "", "x", "http://h/1/"])
def test_what_is_no_url_is_the_clients_fault(call, url):
    with pytest.raises(AwsError):
        call("SendMessage", QueueUrl=url, MessageBody="hello")
