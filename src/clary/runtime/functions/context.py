"""What a handler is given beside the event: AWS's context object, attribute for attribute."""

import base64
import json
import os
import time
from collections.abc import Mapping
from typing import Any


class CognitoIdentity:
    """Who called, where an identity pool says so; here nobody does."""

    __slots__ = ("cognito_identity_id", "cognito_identity_pool_id")

    def __init__(self) -> None:
        self.cognito_identity_id = None
        self.cognito_identity_pool_id = None

    def __repr__(self) -> str:
        return "CognitoIdentity([cognito_identity_id=None,cognito_identity_pool_id=None])"


class Client:
    """The application that called, as it says itself."""

    __slots__ = ("app_package_name", "app_title", "app_version_code", "app_version_name", "installation_id")

    def __init__(self, said: Mapping[str, Any]) -> None:
        for name in self.__slots__:
            setattr(self, name, said.get(name))


class ClientContext:
    """What the caller sent as its client context."""

    __slots__ = ("client", "custom", "env")

    def __init__(self, said: Mapping[str, Any]) -> None:
        self.custom = said.get("custom")
        self.env = said.get("env")
        self.client = Client(said["client"]) if said.get("client") else None


class LambdaContext:
    """One invocation, as its handler sees it."""

    def __init__(self, request: str, arn: str, deadline_ms: int, client_context: str) -> None:
        self.aws_request_id = request
        self.invoked_function_arn = arn
        self.log_group_name = os.environ.get("AWS_LAMBDA_LOG_GROUP_NAME")
        self.log_stream_name = os.environ.get("AWS_LAMBDA_LOG_STREAM_NAME")
        self.function_name = os.environ.get("AWS_LAMBDA_FUNCTION_NAME")
        self.memory_limit_in_mb = os.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
        self.function_version = os.environ.get("AWS_LAMBDA_FUNCTION_VERSION")
        self.client_context = ClientContext(json.loads(base64.b64decode(client_context))) if client_context else None
        self.identity = CognitoIdentity()
        self.tenant_id = None
        self._epoch_deadline_time_in_ms = deadline_ms

    def get_remaining_time_in_millis(self) -> int:
        """How long the invocation may still take."""
        return max(self._epoch_deadline_time_in_ms - int(time.time() * 1000), 0)

    def log(self, message: object) -> None:
        """Write to the log, as `print` does, without a line break."""
        print(message, end="", flush=True)

    def __repr__(self) -> str:
        return f"LambdaContext([aws_request_id={self.aws_request_id},function_name={self.function_name}])"
