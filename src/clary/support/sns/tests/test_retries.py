"""When a failed delivery is tried again."""

import json

import pytest

from clary.kernel.core.errors import AwsError
from clary.support.sns.retries import HTTP, MANAGED, checked, effective, retry_after, subscription_policy, topic_policy


def delays(policy):
    found, failures = [], 1
    while (delay := retry_after(policy, failures)) is not None and failures < 50:
        found.append(delay)
        failures += 1
    return found


def test_what_web_servers_get():
    assert delays(HTTP) == [20, 20, 20]


def test_what_queues_and_functions_get():
    first = delays(MANAGED)[:16]
    assert first[:5] == [0, 0, 0, 1, 1]
    assert first[5:15] == sorted(first[5:15])
    assert first[14:] == [20, 20]
    assert retry_after(MANAGED, 100_015) == 20
    assert retry_after(MANAGED, 100_016) is None


@pytest.mark.parametrize("function", ["linear", "arithmetic", "geometric", "exponential"])
def test_phases(function):
    policy = checked(
        {
            "numRetries": 10,
            "numNoDelayRetries": 1,
            "numMinDelayRetries": 2,
            "numMaxDelayRetries": 3,
            "minDelayTarget": 2,
            "maxDelayTarget": 30,
            "backoffFunction": function,
        },
        "healthyRetryPolicy",
    )
    found = delays(policy)
    assert found[:3] == [0, 2, 2]
    assert found[3:7] == sorted(found[3:7])
    assert found[6:] == [30, 30, 30, 30]


def test_a_subscriptions_policy_goes_before_its_topics():
    topic = json.dumps({"http": {"defaultHealthyRetryPolicy": {"numRetries": 1}}})
    own = json.dumps({"healthyRetryPolicy": {"numRetries": 5}})
    assert effective(topic, None)["healthyRetryPolicy"]["numRetries"] == 1
    assert effective(topic, own)["healthyRetryPolicy"]["numRetries"] == 5
    firm = json.dumps({"http": {"defaultHealthyRetryPolicy": {"numRetries": 1}, "disableSubscriptionOverrides": True}})
    assert effective(firm, own)["healthyRetryPolicy"]["numRetries"] == 1


@pytest.mark.parametrize(
    "policy",
    [
        "[]",
        '{"healthyRetryPolicy": {"numRetries": 101}}',
        '{"healthyRetryPolicy": {"tries": 1}}',
        '{"healthyRetryPolicy": {"backoffFunction": "random"}}',
        '{"healthyRetryPolicy": {"minDelayTarget": 30}}',
        '{"healthyRetryPolicy": {"numRetries": 1, "numNoDelayRetries": 2}}',
        '{"throttlePolicy": {"maxReceivesPerSecond": 0}}',
        '{"other": 1}',
    ],
)
def test_policies_that_make_no_sense(policy):
    with pytest.raises(AwsError):
        subscription_policy(policy)
    with pytest.raises(AwsError):
        topic_policy(json.dumps({"other": 1}))
