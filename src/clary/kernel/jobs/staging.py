"""Fill /opt/ml before the process starts: configuration, channels in File and FastFile mode, models, checkpoints."""

import contextlib
import json
import os
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path

from clary.kernel.jobs.contract import Channel, HostSpec, InputMode, ModelSource, Output
from clary.kernel.jobs.services import ClientFault, ObjectStore, Services, split_uri
from clary.kernel.jobs.sources import Source, list_sources, safe_place, share
from clary.kernel.jobs.unpacking import extract
from clary.kernel.jobs.zips import unzip

_FOLDERS = ("input/config", "input/data", "model", "output/data", "code")
_CHUNK = 64 * 1024  # gzip may grow a thousandfold: this bounds what one step holds in memory
_GZIP = zlib.MAX_WBITS | 16


class Cancelled(Exception):
    """The host was asked to stop while it was being staged."""


class Staging:
    """Fills one /opt/ml. `check` is called between objects and raises Cancelled to give up."""

    def __init__(self, services: Services, ml: Path, *, read_only_views: bool, check: Callable[[], None]) -> None:
        self._services = services
        self._ml = ml
        self._read_only_views = read_only_views
        self._check = check
        self.bytes = 0

    def fill(self, spec: HostSpec) -> None:
        """Everything but Pipe channels. Raises ClientFault or Cancelled."""
        for folder in _FOLDERS:
            (self._ml / folder).mkdir(parents=True, exist_ok=True)
        for path, text in spec.files.items():
            self._write(path, text)
        for channel in spec.channels:
            if channel.mode is not InputMode.PIPE:
                self._channel(channel)
        for model in spec.models:
            self._model(model)
        for package in spec.packages:
            self._check()
            unzip(self._services.package(package.uri), self._ml / package.path, package.uri)
        for output in spec.outputs:
            if not output.archive or output.continuous:
                (self._ml / output.path).mkdir(parents=True, exist_ok=True)
            if output.continuous and output.resumes:
                self._resume(output)

    def _write(self, path: str, text: str) -> None:
        place = self._ml / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)

    @property
    def _objects(self) -> ObjectStore:
        """Opened late: a host without inputs starts without it."""
        return self._services.objects

    def _channel(self, channel: Channel) -> None:
        folder = self._ml / channel.place
        folder.mkdir(parents=True, exist_ok=True)
        if channel.record_io:
            raise ClientFault(f'Channel "{channel.name}": RecordIO wraps records of Pipe mode only.')
        sources = share(channel, list_sources(self._objects, channel))
        if channel.listing:
            listed = {source.place: f"s3://{source.bucket}/{source.key}" for source in sources}
            self._write(channel.listing, json.dumps(listed))
        for source in sources:
            view = channel.mode is InputMode.FAST_FILE and self._read_only_views and not channel.gzip
            self._place(source, folder, gzip=channel.gzip, link=view)

    def _model(self, model: ModelSource) -> None:
        self._check()
        folder = self._ml / model.path
        if model.archive:
            path = self._objects.open(*split_uri(model.uri))
            self.bytes += path.stat().st_size
            extract(path, folder, model.uri)
            return
        channel = Channel(name="model", uri=model.uri, path=model.path)
        for source in list_sources(self._objects, channel):
            self._place(source, folder)

    def _resume(self, output: Output) -> None:
        bucket, prefix = split_uri(output.uri)
        prefix = prefix.rstrip("/") + "/" if prefix else ""
        for item in self._objects.list(bucket, prefix):
            if not item.key.endswith("/"):
                place = safe_place(item.key[len(prefix) :], f"s3://{bucket}/{item.key}")
                self._place(Source(bucket, item.key, place), self._ml / output.path)

    def _place(self, source: Source, folder: Path, *, gzip: bool = False, link: bool = False) -> None:
        self._check()
        path = self._objects.open(source.bucket, source.key)
        target = folder / source.place
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            if gzip:
                target = target.with_suffix("") if target.suffix == ".gz" else target
                with open(target, "xb") as file:
                    gunzip(path, file.write, f"s3://{source.bucket}/{source.key}")
            elif not (link and _hard_link(path, target)):
                with open(target, "xb"):
                    shutil.copyfile(path, target)
        except (FileExistsError, NotADirectoryError):
            raise ClientFault(
                f'The object "s3://{source.bucket}/{source.key}" cannot become a file: another object took its path '
                "as a file or a folder."
            ) from None
        self.bytes += path.stat().st_size


def gunzip(path: Path, write: Callable[[bytes], object], uri: str) -> None:
    """Unpack a gzip file of one or more members. Raises ClientFault when it is not one."""
    stream = zlib.decompressobj(_GZIP)
    try:
        with open(path, "rb") as file:
            while chunk := file.read(_CHUNK):
                while chunk:
                    if stream.eof:
                        stream = zlib.decompressobj(_GZIP)
                    write(stream.decompress(chunk))
                    chunk = stream.unused_data
    except zlib.error as error:
        raise ClientFault(f'The object "{uri}" is not valid gzip data: {error}.') from None
    if not stream.eof:
        raise ClientFault(f'The object "{uri}" is not valid gzip data: it ends too early.')


def _hard_link(path: Path, target: Path) -> bool:
    with contextlib.suppress(OSError):
        os.link(path, target)
        return True
    return False
