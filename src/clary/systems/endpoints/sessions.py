"""Sessions of stateful models: which server holds one, remembered for every gateway until it ends.

A model opens a session by answering with `X-Amzn-SageMaker-New-Session-Id: ID; Expires=TIME`, and requests that name
it must reach the same server.
"""

from datetime import UTC, datetime

import orjson

from clary.kernel.kv import KeyValue

_PREFIX = b"session/"
_DEFAULT_SECONDS = 3600.0


class Sessions:
    """The sessions of all endpoints, in the key-value domain that gateways share."""

    def __init__(self, kv: KeyValue) -> None:
        self._kv = kv

    async def open(self, endpoint: bytes, announced: str, instance: str, now: float) -> None:
        """Remember that an instance holds the session it announced."""
        identity, _, expiry = announced.partition(";")
        document = orjson.dumps([instance, _expires(expiry, now)])
        key = _key(endpoint, identity.strip())
        await self._kv.write_async(lambda transaction: transaction.put(key, document))

    def holder(self, endpoint: bytes, identity: str, now: float) -> str | None:
        """The instance that holds a session; None when there is no such session, or no longer."""
        found = self._kv.get(_key(endpoint, identity))
        if found is None:
            return None
        instance, expires_at = orjson.loads(found)
        return str(instance) if now < expires_at else None

    async def close(self, endpoint: bytes, identity: str) -> None:
        await self._kv.write_async(lambda transaction: transaction.delete(_key(endpoint, identity.strip())))

    def sweep(self, now: float) -> None:
        """Forget the sessions that have expired."""
        expired = [key for key, value in self._kv.scan(_PREFIX, _PREFIX + b"\xff") if orjson.loads(value)[1] <= now]
        if expired:
            self._kv.write(lambda transaction: [transaction.delete(key) for key in expired])


def _key(endpoint: bytes, identity: str) -> bytes:
    return _PREFIX + endpoint + b"/" + identity.encode()


def _expires(attribute: str, now: float) -> float:
    name, _, text = attribute.strip().partition("=")
    try:
        moment = datetime.strptime(text.strip(), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        return now + _DEFAULT_SECONDS
    return moment.timestamp() if name.lower() == "expires" else now + _DEFAULT_SECONDS
