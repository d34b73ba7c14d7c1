"""Ask a service to load and unload models, in the words of SageMaker's contract of multi-model containers."""

import http.client
import json
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from clary.kernel.jobs.health import connection_to

NO_ROOM = 507

_ALREADY_LOADED = 409
_QUICK_SECONDS = 30.0
_LARGEST_ANSWER = 4 * 1024 * 1024  # a list of models, a hundred bytes each


class Unanswered(Exception):
    """The service could not be reached, or gave no answer in time."""


@dataclass(frozen=True)
class Said:
    """The service's answer; `message` is its body."""

    status: int
    message: str

    @property
    def good(self) -> bool:
        return 200 <= self.status < 300


class Container:
    """The service at a port, or behind a Unix socket. Every method raises Unanswered."""

    def __init__(self, address: int | Path) -> None:
        self._address = address

    def has(self, identity: str) -> bool:
        """Whether the model is loaded, as the service itself says."""
        return self._ask("GET", f"/models/{identity}", "", _QUICK_SECONDS).good

    def loaded(self) -> set[str]:
        """All models that are loaded, as the service itself says. Raises ValueError when it says nothing sensible."""
        found: set[str] = set()
        page = ""
        while True:
            said = self._ask("GET", f"/models?next_page_token={quote(page)}" if page else "/models", "", _QUICK_SECONDS)
            if not said.good:
                raise ValueError(f"GET /models was answered with {said.status}: {said.message}")
            try:
                document = json.loads(said.message)
                found |= {str(item["modelName"]) for item in document["models"]}
                following = str(document.get("nextPageToken") or document.get("next_page_token") or "")
            except (KeyError, TypeError, AttributeError) as error:
                raise ValueError(f"GET /models was answered without a list of models: {error!r}") from None
            if not following or following == page:
                return found
            page = following

    def load(self, identity: str, name: str, url: str, timeout_seconds: float) -> Said:
        """Have the model at the local path `url` loaded. Good also when it is loaded already."""
        body = json.dumps({"model_name": identity, "url": url})
        said = self._ask("POST", "/models", name, timeout_seconds, body)
        return Said(200, said.message) if said.status == _ALREADY_LOADED else said

    def unload(self, identity: str, name: str) -> Said:
        """Have the model forgotten. Good also when it was not loaded."""
        said = self._ask("DELETE", f"/models/{identity}", name, _QUICK_SECONDS)
        return Said(200, said.message) if said.status == http.HTTPStatus.NOT_FOUND else said

    def _ask(self, method: str, path: str, name: str, timeout_seconds: float, body: str | None = None) -> Said:
        headers = {"Accept": "application/json"}
        if name:
            headers["X-Amzn-SageMaker-Target-Model"] = name.encode().decode("latin-1")
        if body is not None:
            headers["Content-Type"] = "application/json"
        connection = connection_to(self._address, timeout_seconds)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return Said(answer.status, answer.read(_LARGEST_ANSWER).decode("utf-8", "replace"))
        except TimeoutError:
            raise Unanswered(f"The model server did not answer {method} {path} within {timeout_seconds:g} s.") from None
        except (OSError, http.client.HTTPException) as error:
            raise Unanswered(f"The model server did not answer {method} {path}: {error}.") from None
        finally:
            connection.close()
