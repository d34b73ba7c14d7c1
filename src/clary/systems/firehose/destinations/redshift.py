"""Redshift, which here is any database that speaks PostgreSQL's protocol.

As on AWS, a batch is staged as an object in S3, and a COPY loads it. A PostgreSQL server cannot read S3, so Clary reads
the object as COPY's options say and streams its rows, which are then there once: see `warehouse_notes`.
"""

import importlib.util
import zlib
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Any

from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Platform
from clary.kernel.store import Entry
from clary.systems.firehose.destinations.addresses import parse_columns, parse_jdbc_url, parse_table
from clary.systems.firehose.destinations.contract import Failure, Record, Unavailable
from clary.systems.firehose.destinations.copy_fields import Text
from clary.systems.firehose.destinations.copy_options import CopyOptions, Wrong, parse_options
from clary.systems.firehose.destinations.copy_rows import Column, Path, Row, parse_jsonpaths, rows_of
from clary.systems.firehose.destinations.staging import Stage, read_object
from clary.systems.firehose.destinations.warehouse import LOAD_FAILED, Load, Refused, is_committed, run_load
from clary.systems.firehose.destinations.warehouse_notes import NOWHERE, Note, Notes, Place, Transaction
from clary.systems.firehose.records import KV_DOMAIN, DeliveryStream, role_of
from clary.systems.firehose.refusals import invalid

ROW_EXISTS = "Redshift.RowExists"

_MOST_UNPACKED_BYTES = 1 << 30
_GZIP_BITS = 31
_PATHS_FAILED = "Redshift.IncorrectJsonPathsFile"


def check(configuration: Mapping[str, Any]) -> None:
    """Raise InvalidArgumentException for what cannot be honoured."""
    if (configuration.get("SecretsManagerConfiguration") or {}).get("Enabled"):
        raise invalid(
            "SecretsManagerConfiguration is not supported by Clary, which has no Secrets Manager: give Username and "
            "Password."
        )
    for member in ("Username", "Password"):
        if not configuration.get(member):
            raise invalid(
                f"{member} of the Redshift destination is missing: Clary has no Secrets Manager to ask for it."
            )
    if configuration.get("S3BackupMode") == "Enabled" and not configuration.get("S3BackupConfiguration"):
        raise invalid("S3BackupConfiguration cannot be null when S3BackupMode is Enabled.")
    if importlib.util.find_spec("psycopg") is None:
        raise invalid("The Redshift destination needs psycopg, which is not installed: pip install 'clary[data]'.")
    options = _Target(configuration).options
    compression = (configuration.get("S3Configuration") or {}).get("CompressionFormat") or "UNCOMPRESSED"
    if compression not in ("UNCOMPRESSED", "GZIP"):
        raise invalid(
            f"CompressionFormat {compression} cannot be used with Redshift, whose COPY does not read it: use "
            "UNCOMPRESSED or GZIP."
        )
    if compression == "GZIP" and not options.gzip:
        raise invalid("CompressionFormat GZIP needs the option GZIP in CopyOptions, for COPY to read what is staged.")


class _Target:
    """What the configuration says of the load. Raises InvalidArgumentException."""

    def __init__(self, configuration: Mapping[str, Any]) -> None:
        command = configuration["CopyCommand"]
        try:
            self.address = parse_jdbc_url(str(configuration["ClusterJDBCURL"]))
        except Wrong as error:
            raise invalid(f"ClusterJDBCURL: {error}.") from None
        self.server = (self.address, str(configuration["Username"]), str(configuration["Password"]))
        try:
            self.table = parse_table(str(command["DataTableName"]))
            self.columns = parse_columns(str(command.get("DataTableColumns") or ""))
        except Wrong as error:
            raise invalid(f"CopyCommand.{error}.") from None
        try:
            self.options: CopyOptions = parse_options(str(command.get("CopyOptions") or ""))
        except Wrong as error:
            raise invalid(f"CopyCommand.CopyOptions: {error}.") from None


class Redshift:
    """The warehouse of one delivery stream."""

    def __init__(self, platform: Platform, stream: Entry[DeliveryStream], configuration: Mapping[str, Any]) -> None:
        self._platform = platform
        self._stream = stream
        self._configuration = configuration
        self._target = _Target(configuration)
        self._stage = Stage(platform, stream, configuration)
        self._notes = Notes(platform.kv(KV_DOMAIN), stream.value.buffer)

    def deliver(self, batch: Sequence[Record]) -> list[Failure]:
        """Stage the batch and load it; return the records with rows that were left out. Raises Unavailable.

        What was loaded already is not loaded again, also where nobody heard that it was.
        """
        known, loaded = NOWHERE, list[Failure]()
        note = self._notes.last()
        if note is not None and batch[0].place <= note.through:
            known = note.through if is_committed(*self._target.server, note.transaction) else note.known
        done = sum(record.place <= known for record in batch)
        if note is not None and done:
            loaded = note.failures_in(batch[:done])
        if done == len(batch):
            return loaded
        rest = self._load(batch[done:], known, [_noted(batch, failure) for failure in loaded])
        return loaded + [replace(failure, index=failure.index + done) for failure in rest]

    def _load(self, batch: Sequence[Record], known: Place, before: list[tuple[str, str, str]]) -> list[Failure]:
        """Load what comes behind what is `known` to be loaded, of which those noted in `before` were left out."""
        staged = self._text(self._stage.put(batch))
        target = self._target
        paths = self._paths()

        def rows(columns: Sequence[Column]) -> Iterator[Row]:
            if paths is not None and len(paths) != len(columns):
                names = ", ".join(column.name for column in columns)
                raise Unavailable(
                    _PATHS_FAILED, f"the jsonpaths file has {len(paths)} paths for {len(columns)} columns: {names}"
                )
            return rows_of(staged, target.options, columns, paths)

        def write_note(transaction: Transaction, refused: Sequence[Refused]) -> None:
            left_out = [_noted(batch, failure) for failure in _failures(staged, refused)]
            self._notes.write(Note(transaction, batch[-1].place, known, before + left_out))

        load = Load(target.table, target.columns, target.options, rows, write_note)
        return _failures(staged, run_load(*target.server, load))

    def give_up(self, batch: Sequence[Record], code: str, message: str) -> list[Failure]:
        """Say in the error output which object was not loaded: a manifest to load it by hand. Raises Unavailable."""
        self._stage.put_given_up(batch)
        return []

    def close(self) -> None:
        """There is nothing to let go of: a load has a connection of its own."""

    def _text(self, pieces: Sequence[bytes]) -> Text:
        """What COPY reads, and where in it each record begins unless the producers compressed them."""
        compression = self._configuration["S3Configuration"].get("CompressionFormat") or "UNCOMPRESSED"
        if self._target.options.gzip and compression == "UNCOMPRESSED":
            return Text(_unpacked(b"".join(pieces)).decode("utf-8", "surrogateescape"))
        # A surrogate stands for each byte that is no UTF-8, so that the row it is in can be refused or mended.
        texts = [piece.decode("utf-8", "surrogateescape") for piece in pieces]
        return Text("".join(texts), list(accumulate(map(len, texts[:-1]), initial=0)))

    def _paths(self) -> list[Path] | None:
        uri = self._target.options.jsonpaths
        if not uri:
            return None
        try:
            role = role_of(self._stream.value, self._configuration)
            return parse_jsonpaths(read_object(self._platform, self._stream, role, uri))
        except Wrong as error:
            raise Unavailable(_PATHS_FAILED, f"{uri}: {error}") from error
        except AwsError as error:
            raise Unavailable(_PATHS_FAILED, f"{uri}: {error.code}: {error.message}") from error


def open(platform: Platform, stream: Entry[DeliveryStream], configuration: Mapping[str, Any]) -> Redshift:
    return Redshift(platform, stream, configuration)


def _noted(batch: Sequence[Record], failure: Failure) -> tuple[str, str, str]:
    return batch[failure.index].id, failure.code, failure.message


def _failures(staged: Text, refused: Sequence[Refused]) -> list[Failure]:
    """The records that rows were left out of, each once. Without knowing which they are, there is nobody to name."""
    failures: dict[int, Failure] = {}
    if staged.starts:
        for row in refused:
            index = bisect_right(staged.starts, row.at) - 1
            failures.setdefault(index, Failure(index, ROW_EXISTS if row.known else LOAD_FAILED, row.message))
    return list(failures.values())


def _unpacked(data: bytes) -> bytes:
    """The content of gzip files, one behind another. Raises Unavailable."""
    pieces, size = [], 0
    while data:
        unpacker = zlib.decompressobj(_GZIP_BITS)
        try:
            piece = unpacker.decompress(data, _MOST_UNPACKED_BYTES - size + 1)
        except zlib.error as error:
            raise Unavailable(LOAD_FAILED, f"GZIP: what is staged is not a gzip file: {error}") from error
        size += len(piece)
        if size > _MOST_UNPACKED_BYTES:
            raise Unavailable(LOAD_FAILED, f"GZIP: it unpacks to more than {_MOST_UNPACKED_BYTES} bytes")
        if not unpacker.eof:
            raise Unavailable(LOAD_FAILED, "GZIP: what is staged is not a whole gzip file")
        pieces.append(piece)
        data = unpacker.unused_data
    return b"".join(pieces)
