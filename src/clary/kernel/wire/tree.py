"""Readers and writers for self-describing bodies (JSON, CBOR), compiled from shapes into closures.

A compiled function takes and gives plain dicts, lists and scalars. None in place of a function means "as it is", so a
string costs nothing and a list of strings costs nothing. Readers rename wire keys to member names, drop members that
the model lacks (as AWS does) and nulls, and turn blobs and timestamps into bytes and floats; whether scalars have the
right type is for `constraints.check` to say. Structures enter the cache before they are filled, for recursive shapes.
"""

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from clary.kernel.core.errors import AwsError
from clary.kernel.wire.compiled import Compiled
from clary.kernel.wire.messages import Encoded, OutputError, Plain
from clary.kernel.wire.models import Member, Operation, Shape

Convert = Callable[[Any], Any]
_KINDS = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", bytes: "bytes", int: "a number"}


def malformed(message: str) -> AwsError:
    """What AWS's JSON and CBOR services answer to a body they cannot read."""
    return AwsError("SerializationException", message, status=400)


def kind(value: object) -> str:
    return _KINDS.get(type(value), "a number" if isinstance(value, float) else "another type")


class Tree:
    """Compiles for one format. `leaf_readers` and `leaf_writers` make the function for a scalar member, or None.

    `wire_key` names a structure's member on the wire. With `takes_plain`, `Plain` and `Encoded` lists are not looked
    into: then what writes the format is orjson, and must know blobs and timestamps as they are kept.
    """

    def __init__(
        self,
        leaf_reader: Callable[[Member], Convert | None],
        leaf_writer: Callable[[Member], Convert | None],
        wire_key: Callable[[Member], str],
        *,
        takes_plain: bool = False,
    ) -> None:
        self._takes_plain = takes_plain
        self._leaf_reader = leaf_reader
        self._leaf_writer = leaf_writer
        self._wire_key = wire_key
        self._readers: dict[Shape, Convert] = {}
        self._writers: dict[Shape, Convert] = {}
        # What codecs look up; everything else here runs while one of these compiles
        self.inputs: Compiled[Operation, Convert] = Compiled(
            lambda operation: self.fields_reader(operation.input.members if operation.input else {})
        )
        self.outputs: Compiled[Operation, Convert] = Compiled(
            lambda operation: self.fields_writer(operation.name, operation.output.members if operation.output else {})
        )
        self.structures: Compiled[Shape, Convert] = Compiled(
            lambda shape: self._writers.get(shape) or self._structure_writer(shape)
        )

    def reader(self, use: Member) -> Convert | None:
        shape = use.shape
        if shape.document:
            return None
        if shape.type == "structure":
            return self._readers.get(shape) or self._structure_reader(shape)
        if shape.type == "list":
            return self._list_reader(use)
        if shape.type == "map":
            return self._map_reader(use)
        return self._leaf_reader(use)

    def writer(self, use: Member) -> Convert | None:
        shape = use.shape
        if shape.document:
            return None
        if shape.type == "structure":
            return self._writers.get(shape) or self._structure_writer(shape)
        if shape.type == "list":
            write = _list_writer(self.writer(shape.member))
            return _unless_ready(write) if self._takes_plain and write is not None else write
        if shape.type == "map":
            return _map_writer(self.writer(shape.value))
        return self._leaf_writer(use)

    def fields_reader(self, members: Mapping[str, Member]) -> Convert:
        """Reads the given members from a request's body."""
        fields: dict[str, tuple[str, Convert | None]] = {}
        read = _read_fields("The request body", fields)
        fields.update((self._wire_key(use), (name, self.reader(use))) for name, use in members.items())
        return read

    def fields_writer(self, where: str, members: Mapping[str, Member]) -> Convert:
        fields: dict[str, tuple[str, Convert | None]] = {}
        write = _write_fields(where, fields)
        fields.update((name, (self._wire_key(use), self.writer(use))) for name, use in members.items())
        return write

    def _structure_reader(self, shape: Shape) -> Convert:
        fields: dict[str, tuple[str, Convert | None]] = {}
        self._readers[shape] = read = _read_fields(shape.name, fields)
        fields.update((self._wire_key(use), (name, self.reader(use))) for name, use in shape.members.items())
        return read

    def _structure_writer(self, shape: Shape) -> Convert:
        fields: dict[str, tuple[str, Convert | None]] = {}
        self._writers[shape] = write = _write_fields(shape.name, fields)
        fields.update((name, (self._wire_key(use), self.writer(use))) for name, use in shape.members.items())
        return write

    def _list_reader(self, use: Member) -> Convert:
        element = self.reader(use.shape.member)
        name = use.name

        def read(value: Any) -> Any:
            if type(value) is not list:
                raise malformed(f"'{name}' must be a list, not {kind(value)}")
            if element is None:
                return value
            return [None if item is None else element(item) for item in value]

        return read

    def _map_reader(self, use: Member) -> Convert:
        element = self.reader(use.shape.value)
        name = use.name

        def read(value: Any) -> Any:
            if type(value) is not dict:
                raise malformed(f"'{name}' must be an object, not {kind(value)}")
            if element is None:
                return value
            return {key: None if item is None else element(item) for key, item in value.items()}

        return read


def _read_fields(where: str, fields: Mapping[str, tuple[str, Convert | None]]) -> Convert:
    find = fields.get

    def read(value: Any) -> Any:
        if type(value) is not dict:
            raise malformed(f"{where} must be an object, not {kind(value)}")
        found = {}
        for key, item in value.items():
            field = find(key)
            if field is not None and item is not None:
                name, convert = field
                found[name] = item if convert is None else convert(item)
        return found

    return read


def _write_fields(where: str, fields: Mapping[str, tuple[str, Convert | None]]) -> Convert:
    def write(value: Any) -> Any:
        written = {}
        for name, item in value.items():
            if item is None:
                continue
            field = fields.get(name)
            if field is None:
                raise OutputError(f"{where} has no member {name!r}")
            key, convert = field
            written[key] = item if convert is None else convert(item)
        return written

    return write


def _list_writer(element: Convert | None) -> Convert | None:
    if element is None:
        return None

    def write(value: Any) -> Any:
        return [None if item is None else element(item) for item in value]

    return write


def _unless_ready(write: Convert) -> Convert:
    def written(value: Any) -> Any:
        if type(value) is Encoded:
            return orjson.Fragment(value.json)
        return value if type(value) is Plain else write(value)

    return written


def _map_writer(element: Convert | None) -> Convert | None:
    if element is None:
        return None

    def write(value: Any) -> Any:
        return {key: None if item is None else element(item) for key, item in value.items()}

    return write
