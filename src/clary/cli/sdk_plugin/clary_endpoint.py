"""A botocore plugin for processes that use Clary without having it installed: one rule, no dependencies.

Clients built with an explicit AWS endpoint ignore AWS_ENDPOINT_URL; the SageMaker SDK builds its STS clients so.
Their requests go to AWS_ENDPOINT_URL too. Found through BOTOCORE_EXPERIMENTAL__PLUGINS and PYTHONPATH.
"""

import os
from typing import Any
from urllib.parse import urlsplit, urlunsplit

_AWS_DOMAINS = (".amazonaws.com", ".amazonaws.com.cn", ".amazonaws.eu", ".api.aws")


def initialize_client_plugin(client: Any) -> None:
    """Called by botocore for every client it makes. S3 is left alone: its bucket may be part of the host name."""
    if os.environ.get("AWS_ENDPOINT_URL") and client.meta.service_model.service_name != "s3":
        client.meta.events.register_first("before-sign", _redirect, unique_id="clary-endpoint")


def _redirect(request: Any, **_: Any) -> None:
    asked = urlsplit(request.url)
    endpoint = os.environ.get("AWS_ENDPOINT_URL")
    if endpoint and (asked.hostname or "").endswith(_AWS_DOMAINS):
        ours = urlsplit(endpoint)
        request.url = urlunsplit((ours.scheme, ours.netloc, ours.path.rstrip("/") + asked.path, asked.query, ""))
