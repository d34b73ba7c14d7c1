"""The object store against a model of two dicts, by any sequence of operations, with restarts in between."""

import shutil
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.conformance.objects.support import refused

from clary.kernel.core.clock import VirtualClock
from clary.kernel.kv import KeyValue, open_kv
from clary.kernel.objects import Objects, open_objects
from clary.kernel.objects.folders import plain_path
from clary.kernel.objects.records import Condition, Content
from clary.kernel.objects.uploads import NamedPart

KEYS = st.sampled_from(["a", "a/b", "a/b/c", "a//b", "../a", "b/", "b", "\x00", "long" * 200, "é"])
BODIES = st.sampled_from([b"", b"1", b"22", b"x" * 65_536, b"y" * 65_537])


@dataclass
class Version:
    """One version of a key in the model; `data` None is a delete marker."""

    id: str
    data: bytes | None


class Store(RuleBasedStateMachine):
    """`history` holds every version of a key, newest first, as S3 would list them."""

    objects: Objects
    kv: KeyValue

    @initialize()
    def start(self) -> None:
        self.home = Path(tempfile.mkdtemp())
        self.clock = VirtualClock()
        self.history: dict[str, list[Version]] = {}
        self.versioning = ""
        self.uploads: list[tuple[str, str, dict[int, tuple[str, bytes]]]] = []
        self.open()
        self.objects.buckets.create("bucket", "1", "us-east-1")

    def open(self) -> None:
        self.kv = open_kv(self.home, "objects", durable=False)
        self.objects = open_objects(self.home, self.kv, self.clock, durable=False)

    def teardown(self) -> None:
        if hasattr(self, "home"):
            self.objects.close()
            self.kv.close()
            shutil.rmtree(self.home)

    def current(self, key: str) -> bytes | None:
        versions = self.history.get(key)
        return versions[0].data if versions else None

    def add(self, key: str, version_id: str, data: bytes | None) -> None:
        versions = self.history.setdefault(key, [])
        if version_id == "null":
            versions[:] = [version for version in versions if version.id != "null"]
        versions.insert(0, Version(version_id, data))

    @rule(key=KEYS, body=BODIES)
    def put(self, key: str, body: bytes) -> None:
        version = self.objects.put_bytes("bucket", key, body)
        assert (version.version_id == "null") == (self.versioning != "Enabled")
        self.add(key, version.version_id, body)

    @rule(key=KEYS, body=BODIES)
    def put_if_new(self, key: str, body: bytes) -> None:
        put = partial(self.objects.put_bytes, "bucket", key, body, condition=Condition(if_none_match="*"))
        if self.current(key) is not None:
            with refused("PreconditionFailed"):
                put()
        else:
            self.add(key, put().version_id, body)

    @rule(source=KEYS, key=KEYS)
    def copy(self, source: str, key: str) -> None:
        data = self.current(source)
        copy = partial(self.objects.copy, ("bucket", source, None), ("bucket", key), describe=lambda _: Content())
        if data is None:
            with refused("NoSuchKey"):
                copy()
        else:
            self.add(key, copy().version_id, data)

    @rule(key=KEYS)
    def delete(self, key: str) -> None:
        removal = self.objects.delete("bucket", key)
        if not self.versioning:
            self.history.pop(key, None)
        else:
            assert removal.marker is not None
            self.add(key, removal.marker.version_id, None)

    @precondition(lambda self: any(self.history.values()))
    @rule(data=st.data())
    def delete_version(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(key for key, versions in self.history.items() if versions)))
        version = data.draw(st.sampled_from(self.history[key]))
        self.objects.delete("bucket", key, version.id)
        self.history[key].remove(version)

    @rule(state=st.sampled_from(["Enabled", "Suspended"]))
    def turn_versioning(self, state: str) -> None:
        self.objects.buckets.change("bucket", None, lambda bucket: setattr(bucket, "versioning", state))
        self.versioning = state

    @rule(key=KEYS)
    def begin_upload(self, key: str) -> None:
        self.uploads.append((key, self.objects.uploads.begin("bucket", key).id, {}))

    @precondition(lambda self: self.uploads)
    @rule(data=st.data(), number=st.integers(1, 3), body=BODIES)
    def upload_part(self, data: st.DataObject, number: int, body: bytes) -> None:
        key, upload_id, parts = data.draw(st.sampled_from(self.uploads))
        part = self.objects.uploads.copy_part("bucket", key, upload_id, number, body, (0, len(body)))
        parts[number] = (part.etag, body)

    @precondition(lambda self: any(parts for _, _, parts in self.uploads))
    @rule(data=st.data())
    def complete_upload(self, data: st.DataObject) -> None:
        upload = data.draw(st.sampled_from([upload for upload in self.uploads if upload[2]]))
        key, upload_id, parts = upload
        number = data.draw(st.sampled_from(sorted(parts)))
        named = [NamedPart(number, parts[number][0], {})]
        version = self.objects.uploads.complete("bucket", key, upload_id, named)
        self.uploads.remove(upload)
        self.add(key, version.version_id, parts[number][1])

    @precondition(lambda self: self.uploads)
    @rule(data=st.data())
    def abort_upload(self, data: st.DataObject) -> None:
        upload = data.draw(st.sampled_from(self.uploads))
        self.objects.uploads.abort("bucket", upload[0], upload[1])
        self.uploads.remove(upload)

    @rule()
    def restart(self) -> None:
        self.objects.close()
        self.kv.close()
        self.open()

    @rule()
    def tidy(self) -> None:
        self.objects.flush()
        self.clock.advance(100)
        self.objects.heal()
        self.objects._settler.remove_unused(0.0)

    @invariant()
    def every_version_has_its_bytes(self) -> None:
        for key, versions in self.history.items():
            for version in versions:
                if version.data is not None:
                    assert self.objects.get_bytes("bucket", key, version.id) == version.data
            data = self.current(key)
            if data is None:
                with refused("NoSuchKey"):
                    self.objects.get_bytes("bucket", key)
            else:
                assert self.objects.get_bytes("bucket", key) == data

    @invariant()
    def listings_are_those_of_the_model(self) -> None:
        keys = sorted((key for key in self.history if self.current(key) is not None), key=str.encode)
        assert [entry.key for entry in self.objects.list("bucket")] == keys
        wanted = [
            (key, version.id, version.data is None, rank == 0)
            for key in sorted(self.history, key=str.encode)
            for rank, version in enumerate(self.history[key])
        ]
        listed = self.objects.page_of_versions("bucket").entries
        assert [(e.key, e.version.version_id, e.version.marker, e.latest) for e in listed] == wanted

    @invariant()
    def folders_show_what_can_be_shown(self) -> None:
        folder = self.home / "objects" / "bucket"
        shown = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
        current = {key: data for key in self.history if (data := self.current(key)) is not None}
        plain = {key: data for key, data in current.items() if plain_path(key) is not None}
        hidden = {key for key in plain if any(other.startswith(key + "/") for other in plain)}
        assert {name: path.read_bytes() for name, path in shown.items()} == {
            key: data for key, data in plain.items() if key not in hidden
        }

    @invariant()
    def nothing_lies_beside_the_home(self) -> None:
        assert {path.name for path in self.home.iterdir()} == {"kv", "objects"}


TestStore = Store.TestCase
TestStore.settings = settings(
    max_examples=40,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
