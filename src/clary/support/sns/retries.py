"""Delivery policies: how often a delivery that failed is tried again, and when.

A policy has phases: retries at once, then some at the least delay, then some that back off, then some at the greatest.
Source: "Message delivery retries" of the SNS developer guide.
"""

from collections.abc import Mapping
from typing import Any

import orjson

from clary.kernel.core.errors import AwsError

FUNCTIONS = ("linear", "arithmetic", "geometric", "exponential")
HTTP: Mapping[str, Any] = {
    "minDelayTarget": 20,
    "maxDelayTarget": 20,
    "numRetries": 3,
    "numMaxDelayRetries": 0,
    "numNoDelayRetries": 0,
    "numMinDelayRetries": 0,
    "backoffFunction": "linear",
}
"""What web servers get unless a policy says otherwise."""

MANAGED: Mapping[str, Any] = {
    "minDelayTarget": 1,
    "maxDelayTarget": 20,
    "numRetries": 100_015,
    "numMaxDelayRetries": 100_000,
    "numNoDelayRetries": 3,
    "numMinDelayRetries": 2,
    "backoffFunction": "exponential",
}
"""What queues and functions get: 23 days."""

_RANGES = {
    "minDelayTarget": (1, 3600),
    "maxDelayTarget": (1, 3600),
    "numRetries": (0, 100),
    "numMaxDelayRetries": (0, 100),
    "numNoDelayRetries": (0, 100),
    "numMinDelayRetries": (0, 100),
}
_LONGEST_SECONDS = 3600


def retry_after(policy: Mapping[str, Any], failures: int) -> float | None:
    """The seconds to wait after so many failed tries; None when there is to be no other."""
    retry = failures - 1
    if retry >= policy["numRetries"]:
        return None
    least, greatest = float(policy["minDelayTarget"]), float(policy["maxDelayTarget"])
    if retry < policy["numNoDelayRetries"]:
        return 0.0
    retry -= policy["numNoDelayRetries"]
    if retry < policy["numMinDelayRetries"]:
        return least
    retry -= policy["numMinDelayRetries"]
    backing_off = (
        policy["numRetries"] - policy["numNoDelayRetries"] - policy["numMinDelayRetries"] - policy["numMaxDelayRetries"]
    )
    if retry >= backing_off:
        return greatest
    return least + (greatest - least) * _progress(policy["backoffFunction"], retry + 1, backing_off)


def _progress(function: str, step: int, steps: int) -> float:
    """How far from the least to the greatest delay a step of the back-off is: 0 to 1."""
    if function == "linear":
        return step / steps
    if function == "arithmetic":
        return step * (step + 1) / (steps * (steps + 1))
    base = 1.5 if function == "geometric" else 2.0
    return float((base**step - 1) / (base**steps - 1))


def checked(policy: Mapping[str, Any], what: str) -> dict[str, Any]:
    """A healthyRetryPolicy with what it leaves out. Raises InvalidParameter."""
    unknown = policy.keys() - HTTP.keys()
    if unknown:
        raise wrong(f"{what} has no {sorted(unknown)[0]}")
    whole = {**HTTP, **policy}
    for name, (low, high) in _RANGES.items():
        if type(whole[name]) is not int or not low <= whole[name] <= high:
            raise wrong(f"{what}.{name} must be an integer from {low} to {high}")
    if whole["backoffFunction"] not in FUNCTIONS:
        raise wrong(f"{what}.backoffFunction must be one of {', '.join(FUNCTIONS)}")
    if whole["minDelayTarget"] > whole["maxDelayTarget"]:
        raise wrong(f"{what}.minDelayTarget must not exceed maxDelayTarget")
    phases = whole["numNoDelayRetries"] + whole["numMinDelayRetries"] + whole["numMaxDelayRetries"]
    if phases > whole["numRetries"]:
        raise wrong(f"{what}.numRetries must be at least the retries of its phases")
    if whole["numRetries"] * whole["maxDelayTarget"] > _LONGEST_SECONDS * 100:
        raise wrong(f"{what} would retry for too long")
    return whole


def topic_policy(text: str) -> str:
    """A topic's DeliveryPolicy, checked: `{"http": {"defaultHealthyRetryPolicy": ...}}`."""
    document = _parsed(text)
    http = document.get("http", {})
    if document.keys() - {"http"} or not isinstance(http, dict):
        raise wrong("it holds http, and nothing else")
    _check_parts(http, ("defaultHealthyRetryPolicy", "defaultThrottlePolicy", "defaultRequestPolicy"))
    return text


def subscription_policy(text: str) -> str:
    """A subscription's DeliveryPolicy, checked: `{"healthyRetryPolicy": ...}`."""
    _check_parts(_parsed(text), ("healthyRetryPolicy", "throttlePolicy", "requestPolicy"))
    return text


def effective(topic: str | None, subscription: str | None) -> dict[str, Any]:
    """The policy for a web server's subscription, from its own and its topic's."""
    general = orjson.loads(topic)["http"] if topic else {}
    own = orjson.loads(subscription) if subscription and not general.get("disableSubscriptionOverrides") else {}
    return {
        "healthyRetryPolicy": {
            **HTTP,
            **(own.get("healthyRetryPolicy") or general.get("defaultHealthyRetryPolicy") or {}),
        },
        "throttlePolicy": own.get("throttlePolicy") or general.get("defaultThrottlePolicy") or {},
        "requestPolicy": own.get("requestPolicy") or general.get("defaultRequestPolicy") or {},
    }


def wrong(why: str) -> AwsError:
    return AwsError("InvalidParameter", f"Invalid parameter: DeliveryPolicy: {why}")


def _parsed(text: str) -> dict[str, Any]:
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise wrong("failed to parse JSON") from None
    if not isinstance(document, dict):
        raise wrong("it must be a JSON object")
    return document


def _check_parts(parts: Mapping[str, Any], names: tuple[str, str, str]) -> None:
    retry, throttle, request = names
    unknown = parts.keys() - {*names, "disableSubscriptionOverrides"}
    if unknown:
        raise wrong(f"it has no {sorted(unknown)[0]}")
    if type(parts.get("disableSubscriptionOverrides", False)) is not bool:
        raise wrong("disableSubscriptionOverrides must be true or false")
    for name in names:
        if not isinstance(parts.get(name) or {}, dict):
            raise wrong(f"{name} must be a JSON object")
    if parts.get(retry):
        checked(parts[retry], retry)
    throttled = parts.get(throttle) or {}
    rate = throttled.get("maxReceivesPerSecond", 1)
    if throttled.keys() - {"maxReceivesPerSecond"} or type(rate) is not int or rate < 1:
        raise wrong(f"{throttle} holds maxReceivesPerSecond, an integer of at least 1")
    asked = parts.get(request) or {}
    content_type = asked.get("headerContentType", "text/plain")
    if asked.keys() - {"headerContentType"} or not isinstance(content_type, str) or not content_type.isprintable():
        raise wrong(f"{request} holds headerContentType, a media type")
