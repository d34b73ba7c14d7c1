"""What makes a configuration document a good one; S3's refusals of those that are not."""

from collections.abc import Mapping
from typing import Any

from clary.kernel.core.errors import AwsError
from clary.kernel.core.ids import new_uuid
from clary.kernel.objects.events import TARGETS
from clary.support.s3.requests import invalid_argument, storage_class

# The names under which documents are kept.
CORS = "cors"
ENCRYPTION = "encryption"
LIFECYCLE = "lifecycle"
OWNERSHIP = "ownership"
POLICY = "policy"
PUBLIC_ACCESS = "public-access"
TAGGING = "tagging"

_OWNERSHIPS = frozenset({"BucketOwnerEnforced", "BucketOwnerPreferred", "ObjectWriter"})
_METHODS = frozenset({"GET", "PUT", "POST", "DELETE", "HEAD"})
_MOST_CORS_RULES = 100
_MOST_LIFECYCLE_RULES = 1000
_LONGEST_ID = 255
_DAY = 86_400.0
_ACTIONS = frozenset(
    {
        "Expiration",
        "NoncurrentVersionExpiration",
        "AbortIncompleteMultipartUpload",
        "Transitions",
        "NoncurrentVersionTransitions",
    }
)
_EVENTS = frozenset(
    {
        *(f"s3:ObjectCreated:{what}" for what in ("*", "Put", "Post", "Copy", "CompleteMultipartUpload")),
        *(f"s3:ObjectRemoved:{what}" for what in ("*", "Delete", "DeleteMarkerCreated")),
        *(f"s3:LifecycleExpiration:{what}" for what in ("*", "Delete", "DeleteMarkerCreated")),
    }
)
# Of AWS's events, those that cannot happen here: accepted, never seen.
_OTHER_EVENTS = (
    "s3:ObjectRestore:",
    "s3:Replication:",
    "s3:ObjectAcl:",
    "s3:ObjectTagging:",
    "s3:IntelligentTiering",
    "s3:LifecycleTransition",
    "s3:ReducedRedundancyLostObject",
)


def malformed(why: str) -> AwsError:
    return AwsError("MalformedXML", f"The XML you provided was not well-formed or did not validate: {why}", status=400)


def _invalid(why: str) -> AwsError:
    return AwsError("InvalidArgument", why, status=400)


def checked_ownership(name: str) -> str:
    """Return a known object ownership."""
    if name not in _OWNERSHIPS:
        raise invalid_argument("ObjectOwnership", name, "Unknown object ownership")
    return name


def check_cors(document: Mapping[str, Any]) -> None:
    """Raise unless `document` has CORS rules that can be applied."""
    rules = document["CORSRules"]
    if not 0 < len(rules) <= _MOST_CORS_RULES:
        raise malformed(f"a CORS configuration has 1 to {_MOST_CORS_RULES} rules")
    for rule in rules:
        if not rule.get("AllowedMethods") or not rule.get("AllowedOrigins"):
            raise malformed("a CORS rule needs AllowedMethod and AllowedOrigin")
        for method in rule["AllowedMethods"]:
            if method not in _METHODS:
                raise AwsError(
                    "InvalidRequest",
                    f"Found unsupported HTTP method in CORS config. Unsupported method is {method}",
                    status=400,
                )
        for name in ("AllowedOrigins", "AllowedHeaders"):
            for pattern in rule.get(name, ()):
                if pattern.count("*") > 1:
                    raise AwsError(
                        "InvalidRequest", f'{name} "{pattern}" can not have more than one wildcard.', status=400
                    )


def checked_lifecycle(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return lifecycle rules, each with an ID. Raises MalformedXML, InvalidArgument, InvalidRequest."""
    rules = [dict(rule) for rule in document.get("Rules") or []]
    if not 0 < len(rules) <= _MOST_LIFECYCLE_RULES:
        raise malformed(f"a lifecycle configuration has 1 to {_MOST_LIFECYCLE_RULES} rules")
    seen = set()
    for rule in rules:
        rule.setdefault("ID", new_uuid())
        if len(rule["ID"]) > _LONGEST_ID:
            raise _invalid(f"ID length should not exceed allowed limit of {_LONGEST_ID}")
        if rule["ID"] in seen:
            raise _invalid(f"Rule ID must be unique. Found same ID for more than one rule: {rule['ID']}")
        seen.add(rule["ID"])
        if rule.get("Status") not in {"Enabled", "Disabled"}:
            raise malformed("the Status of a rule is Enabled or Disabled")
        if ("Filter" in rule) == ("Prefix" in rule):
            raise malformed("a rule has either a Filter or a Prefix")
        if not _ACTIONS & rule.keys():
            raise AwsError("InvalidRequest", "At least one action needs to be specified in a rule.", status=400)
        _check_expiration(rule.get("Expiration"))
        _check_days(rule.get("NoncurrentVersionExpiration"), "NoncurrentDays")
        _check_days(rule.get("AbortIncompleteMultipartUpload"), "DaysAfterInitiation")
        for transition in rule.get("Transitions") or []:
            _check_date(transition)
            _check_transition(transition, {"Days", "Date"})
        for transition in rule.get("NoncurrentVersionTransitions") or []:
            _check_transition(transition, {"NoncurrentDays"})
    return rules


def checked_notification(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return notification rules, each with an Id; empty when there are none. Raises InvalidArgument."""
    checked: dict[str, Any] = {}
    if document.get("EventBridgeConfiguration") is not None:
        checked["EventBridgeConfiguration"] = {}
    for name, member in TARGETS.items():
        rules = [dict(rule) for rule in document.get(name) or []]
        for rule in rules:
            rule.setdefault("Id", new_uuid())
            if not str(rule.get(member, "")).startswith("arn:"):
                raise _invalid(f"The ARN is not well formed: {rule.get(member)}")
            for event in rule.get("Events") or [None]:
                if event not in _EVENTS and not str(event).startswith(_OTHER_EVENTS):
                    raise _invalid(f"The event '{event}' is not supported for notifications")
            for part in (rule.get("Filter") or {}).get("Key", {}).get("FilterRules", ()):
                if str(part.get("Name")).lower() not in {"prefix", "suffix"} or "Value" not in part:
                    raise _invalid("filter rule name must be either prefix or suffix, with a value")
        if rules:
            checked[name] = rules
    return checked


def _check_expiration(expiration: Mapping[str, Any] | None) -> None:
    if expiration is None:
        return
    if len(expiration.keys() & {"Days", "Date", "ExpiredObjectDeleteMarker"}) != 1:
        raise malformed("an Expiration has one of Days, Date and ExpiredObjectDeleteMarker")
    _check_days(expiration, "Days")
    _check_date(expiration)


def _check_days(action: Mapping[str, Any] | None, name: str) -> None:
    if action is not None and name in action and action[name] <= 0:
        raise _invalid(f"'{name}' for the action must be a positive integer")


def _check_transition(transition: Mapping[str, Any], times: set[str]) -> None:
    if len(transition.keys() & times) != 1 or not transition.get("StorageClass"):
        raise malformed(f"a transition has one of {', '.join(sorted(times))}, and a StorageClass")
    if any(transition[name] < 0 for name in transition.keys() & times - {"Date"}):
        raise _invalid("'Days' in the Transition action must be nonnegative")
    storage_class(transition["StorageClass"])


def _check_date(action: Mapping[str, Any]) -> None:
    if action.get("Date") is not None and float(action["Date"]) % _DAY:
        raise _invalid("'Date' must be at midnight GMT")
