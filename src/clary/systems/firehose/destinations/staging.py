"""The objects that Redshift's destination writes beside the load: what is loaded, and manifests that name it."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from clary.kernel.auth import policies
from clary.kernel.core.arns import partition_of
from clary.kernel.objects.uri import parse_s3_uri, s3_uri
from clary.kernel.rooms import Platform
from clary.kernel.rooms.roles import role_principal
from clary.kernel.store import Entry
from clary.systems.firehose.configurations import names_of, object_part
from clary.systems.firehose.delivery.objects import Target, Trouble
from clary.systems.firehose.destinations.contract import Record, Unavailable
from clary.systems.firehose.prefixes import Naming
from clary.systems.firehose.processors.parameters import appended, processors_of
from clary.systems.firehose.records import DeliveryStream

_LANE = "staged"
_ERRORS = "errors/manifests"


class Stage:
    """The staging bucket of a delivery stream. A batch that comes again gets the names it had."""

    def __init__(self, platform: Platform, stream: Entry[DeliveryStream], configuration: Mapping[str, Any]) -> None:
        part = object_part(configuration)
        self._delimiter = appended(processors_of(configuration))
        self._bucket = str(part["BucketARN"]).rpartition(":")[2]
        self._objects = Target(platform, stream, part, names_of(part))
        plain = {**part, "CompressionFormat": "UNCOMPRESSED", "Prefix": f"{part.get('Prefix', '')}manifests/"}
        self._manifests = Target(platform, stream, plain, names_of(plain))
        plain["Prefix"] = part.get("Prefix", "")
        self._errors = Target(platform, stream, plain, names_of(plain))
        self._staged: tuple[str, int] = ("", 0)
        self._key = ""

    def put(self, batch: Sequence[Record]) -> list[bytes]:
        """Store a batch and a manifest of it; return what was written of each record, before compression.

        Raises Unavailable.
        """
        pieces = (
            [record.data + self._delimiter for record in batch] if self._delimiter else [each.data for each in batch]
        )
        # It need not be stored again each time that loading is tried again.
        if self._staged != (batch[0].id, len(batch)):
            naming = self._naming(batch)
            pack = self._objects.compressor(naming)
            try:
                self._key = self._objects.put(naming, pack.add(b"".join(pieces)) + pack.finish()).key
                self._manifests.put(naming, self._manifest())
            except Trouble as trouble:
                raise Unavailable(trouble.code, trouble.message) from trouble
            self._staged = (batch[0].id, len(batch))
        return pieces

    def put_given_up(self, batch: Sequence[Record]) -> None:
        """Store a manifest of a batch that was not loaded, to load it by hand. Raises Unavailable."""
        self.put(batch)
        try:
            self._errors.put(self._naming(batch, _ERRORS), self._manifest())
        except Trouble as trouble:
            raise Unavailable(trouble.code, trouble.message) from trouble

    def _manifest(self) -> bytes:
        return orjson.dumps({"entries": [{"url": s3_uri(self._bucket, self._key), "mandatory": True}]})

    def _naming(self, batch: Sequence[Record], error_type: str = "") -> Naming:
        return self._objects.naming(batch[0].place[0], batch[0].at_ms, _LANE, {}, error_type)


def read_object(platform: Platform, stream: Entry[DeliveryStream], role: str, uri: str) -> bytes:
    """An object's bytes, as far as a role may read it. Raises AwsError."""
    bucket, key = parse_s3_uri(uri)
    principal = role_principal(platform, role)
    resource = f"arn:{partition_of(stream.region)}:s3:::{bucket}/{key}"
    decision = policies.authorize(principal, "s3:GetObject", resource)
    if not decision.allowed:
        raise policies.denied(principal, "s3:GetObject", resource, decision)
    return platform.objects.get_bytes(bucket, key, account=stream.account)
