"""SQS as it was spoken before JSON: the query protocol, which older SDKs and signed forms still use.

botocore's model describes the JSON protocol only. What the older one adds are names: every list and map is flattened
and called by its singular, and errors have codes of their own, which JSON answers carry in `x-amzn-query-error`.
Source: "Making Query API requests" of the SQS developer guide, and its API reference.
"""

import copy
from collections.abc import Mapping
from typing import Any

API_VERSION = "2012-11-05"
NAMESPACE = "http://queue.amazonaws.com/doc/2012-11-05/"

_PREFIX = "AWS.SimpleQueueService."
_CODES = {
    "QueueDoesNotExist": f"{_PREFIX}NonExistentQueue",
    "QueueNameExists": "QueueAlreadyExists",
    **{
        name: _PREFIX + name
        for name in (
            "BatchEntryIdsNotDistinct",
            "BatchRequestTooLong",
            "EmptyBatchRequest",
            "InvalidBatchEntryId",
            "MessageNotInflight",
            "PurgeQueueInProgress",
            "QueueDeletedRecently",
            "TooManyEntriesInBatchRequest",
            "UnsupportedOperation",
        )
    },
}
_ELEMENTS = {
    "AWSAccountIdList": "AWSAccountId",
    "ActionNameList": "ActionName",
    "AttributeNameList": "AttributeName",
    "BatchResultErrorEntryList": "BatchResultErrorEntry",
    "ChangeMessageVisibilityBatchRequestEntryList": "ChangeMessageVisibilityBatchRequestEntry",
    "ChangeMessageVisibilityBatchResultEntryList": "ChangeMessageVisibilityBatchResultEntry",
    "DeleteMessageBatchRequestEntryList": "DeleteMessageBatchRequestEntry",
    "DeleteMessageBatchResultEntryList": "DeleteMessageBatchResultEntry",
    "ListMessageMoveTasksResultEntryList": "ListMessageMoveTasksResultEntry",
    "MessageAttributeNameList": "MessageAttributeName",
    "MessageList": "Message",
    "MessageSystemAttributeList": "MessageSystemAttributeName",
    "QueueUrlList": "QueueUrl",
    "SendMessageBatchRequestEntryList": "SendMessageBatchRequestEntry",
    "SendMessageBatchResultEntryList": "SendMessageBatchResultEntry",
    "TagKeyList": "TagKey",
}
_ENTRIES = {
    "MessageBodyAttributeMap": ("MessageAttribute", "Name"),
    "MessageBodySystemAttributeMap": ("MessageSystemAttribute", "Name"),
    "MessageSystemAttributeMap": ("Attribute", "Name"),
    "QueueAttributeMap": ("Attribute", "Name"),
    "TagMap": ("Tag", "Key"),
}


def with_error_codes(model: Mapping[str, Any]) -> dict[str, Any]:
    """SQS's model, its errors with the codes that query clients know."""
    shapes = {
        name: {**shape, "error": {"code": _CODES[name], "httpStatusCode": 400, "senderFault": True}}
        if name in _CODES
        else shape
        for name, shape in model["shapes"].items()
    }
    return {**model, "shapes": shapes}


def as_query(model: Mapping[str, Any]) -> dict[str, Any]:
    """SQS's model as the query protocol has it."""
    changed: dict[str, Any] = copy.deepcopy(dict(with_error_codes(model)))
    changed["metadata"]["xmlNamespace"] = NAMESPACE
    shapes = changed["shapes"]
    for name, element in _ELEMENTS.items():
        shapes[name]["member"]["locationName"] = element
    for name, (_, key) in _ENTRIES.items():
        shapes[name]["key"]["locationName"] = key
        shapes[name]["value"]["locationName"] = "Value"
    for shape in shapes.values():
        for member in shape.get("members", {}).values():
            below = member["shape"]
            if below in _ENTRIES:
                member["locationName"] = _ENTRIES[below][0]
            elif below in _ELEMENTS:
                member["locationName"] = _ELEMENTS[below]
    return changed
