"""What only the NATS backend has: a server that may be missing, stop, or be configured too small."""

import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from tests.conformance.streams.conftest import nats_server

from clary.cli.doctor import Check, examine
from clary.kernel.core.clock import SystemClock
from clary.kernel.core.settings import Settings
from clary.kernel.streams import Entry, StreamError, Streams, nats_connection, open_streams
from clary.kernel.streams.jetstream import open_jetstream
from clary.testing import eventually, reserved_port


def opened(url: str) -> Streams:
    return open_streams(Path("unused"), SystemClock(), url=url)


def test_a_missing_server_or_library_and_a_wrong_address_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        reserved_port() as port,
        closing(opened(f"nats://127.0.0.1:{port}")) as streams,
        pytest.raises(StreamError, match=f"cannot connect to NATS at nats://127.0.0.1:{port}"),
    ):
        streams.create("s", ["a"])
    with pytest.raises(StreamError, match="only 'replicas=NUMBER'"):
        opened("nats://127.0.0.1?replica=3")
    with pytest.raises(StreamError, match="is no place for streams"):
        opened("kafka://127.0.0.1")
    monkeypatch.setitem(sys.modules, "nats", None)
    with pytest.raises(StreamError, match=r"pip install 'clary\[nats\]'"):
        opened("nats://127.0.0.1")


def test_the_doctor_says_whether_the_server_answers_and_keeps_its_password(nats_url: str) -> None:
    def found(url: str) -> Check:
        return examine(Settings.load({}, home="unused", streams_url=url))[-1]

    assert found(nats_url) == Check("Streams in NATS", True, "the server answers", "")
    with reserved_port() as port:
        check = found(f"nats://user:secret@127.0.0.1:{port}")
    assert not check.ok
    assert "cannot connect to NATS at nats://127.0.0.1" in check.finding
    assert "secret" not in check.finding
    assert found("").capability != "Streams in NATS"


def test_a_server_that_is_killed_and_started_again_has_what_it_acknowledged(tmp_path: Path) -> None:
    with reserved_port() as port, closing(opened(f"nats://127.0.0.1:{port}")) as streams:
        with nats_server(tmp_path, port):
            streams.create("s", ["a", "b"])
            streams.append("s", [Entry("a", str(n), b"x" * n) for n in range(100)])
            streams.reshard("s", ["b"], [])
        with pytest.raises(StreamError):
            streams.append("s", [Entry("a", "lost", b"")])
        with nats_server(tmp_path, port):

            def again() -> bool:
                try:
                    return len(streams.read("s", "a", 1).records) == 100
                except StreamError:
                    return False

            eventually(again)
            assert streams.append("s", [Entry("b", "late", b"")]) == [None]
            [placed] = streams.append("s", [Entry("a", "100", b"")])
            assert placed is not None
            assert [int(record.key) for record in streams.read("s", "a", 1).records] == list(range(101))


def process_of(folder: Path) -> int:
    """The process of the server in a folder."""
    [ports] = folder.glob("*.ports")
    return int(ports.stem.rpartition("_")[2])


def test_a_server_that_is_slow_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nats_connection, "CONNECT_SECONDS", 0.1)
    with nats_server(tmp_path) as url, closing(opened(url)) as streams, ThreadPoolExecutor(1) as pool:
        os.kill(process_of(tmp_path), signal.SIGSTOP)
        asked = pool.submit(streams.create, "s", ["a"])
        with pytest.raises(TimeoutError):
            asked.result(1)
        os.kill(process_of(tmp_path), signal.SIGCONT)
        asked.result(300)


def test_who_waits_for_an_answer_is_told_when_the_server_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nats_connection, "ANSWER_SECONDS", 3600.0)
    with nats_server(tmp_path) as url, closing(open_jetstream(url, SystemClock())) as streams:
        streams.create("s", ["a"])
        server = process_of(tmp_path)
        os.kill(server, signal.SIGSTOP)
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(streams.append, "s", [Entry("a", "", b"")])
            eventually(lambda: streams._nats._awaited)
            os.kill(server, signal.SIGKILL)
            with pytest.raises(StreamError, match="lost meanwhile"):
                asked.result(300)


def test_a_record_that_the_server_would_not_take_is_refused_with_what_to_do(nats_url: str) -> None:
    with closing(opened(nats_url)) as streams:
        streams.create("large", ["a"])
        with pytest.raises(StreamError, match="raise that in the server's configuration"):
            streams.append("large", [Entry("a", "", bytes(1024 * 1024))])
        [placed] = streams.append("large", [Entry("a", "", bytes(1024 * 1024 - 500))])
        assert placed is not None
        streams.delete("large")
