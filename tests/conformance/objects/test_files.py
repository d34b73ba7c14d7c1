"""What only a backend of plain files promises: what folders show, and what killed processes leave behind."""

import asyncio
import hashlib
import os
import random
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from tests.conformance.objects.support import ACCOUNT, LARGE, keys, opened, pieces

from clary.kernel.core.errors import AwsError
from clary.kernel.objects import Objects


class TestFiles:
    """What only a backend of plain files promises."""

    HOSTILE = (
        "../../escape",
        "/etc/passwd",
        "a//b",
        "./a",
        "a/..",
        "dir/",
        "x" * 300,
        "nul\x00",
        "..",
        "a/" * 500 + "b",
    )

    def test_no_key_leaves_the_folder_and_every_key_works(self, objects: Objects, tmp_path: Path) -> None:
        for key in self.HOSTILE:
            objects.put_bytes("bucket", key, key.encode())
        for key in self.HOSTILE:
            assert objects.get_bytes("bucket", key) == key.encode()
            assert objects.local_path("bucket", key).read_bytes() == key.encode()
            assert tmp_path in objects.local_path("bucket", key).parents
        assert sorted(entry.name for entry in tmp_path.iterdir()) == ["kv", "objects"]
        assert sorted(entry.name for entry in (tmp_path / "objects").iterdir()) == [".clary", "bucket"]
        for key in self.HOSTILE:
            objects.delete("bucket", key)
        assert list((tmp_path / "objects" / "bucket").iterdir()) == []

    def test_a_folder_wins_over_the_object_of_its_name_until_it_is_empty(self, objects: Objects, plain: Path) -> None:
        objects.put_bytes("bucket", "a", b"1")
        objects.put_bytes("bucket", "a/b/c", b"2")
        assert (plain / "a" / "b" / "c").read_bytes() == b"2"
        objects.put_bytes("bucket", "a", b"3")
        assert objects.get_bytes("bucket", "a") == b"3"
        objects.delete("bucket", "a/b/c")
        assert (plain / "a").read_bytes() == b"3"
        objects.put_bytes("bucket", "a/b/c", b"4")
        objects.delete("bucket", "a")
        assert (plain / "a" / "b" / "c").read_bytes() == b"4"

    def test_files_of_replaced_objects_go_after_a_while(self, objects: Objects, tmp_path: Path) -> None:
        objects.put_bytes("bucket", "a", b"1")
        old = objects.local_path("bucket", "a")
        objects.put_bytes("bucket", "a", b"2")
        objects.flush()
        assert old.read_bytes() == b"1"
        objects._settler.remove_unused(0.0)
        data = tmp_path / "objects" / ".clary" / "data"
        assert [path.read_bytes() for path in data.glob("*/*")] == [b"2"]
        assert list(objects._kv.scan(b"w", b"x")) == []

    def test_clear_leaves_nothing(self, objects: Objects, plain: Path) -> None:
        objects.put_bytes("bucket", "a", LARGE)
        objects.clear()
        assert list(objects.buckets.all()) == []
        assert not plain.exists()
        objects.buckets.create("bucket", ACCOUNT, "eu-west-1")
        objects.put_bytes("bucket", "a", b"1")
        assert (plain / "a").read_bytes() == b"1"

    def test_heal_does_what_a_killed_process_left(self, tmp_path: Path) -> None:
        """Between commit and file: the bytes are in the journal alone, the streamed blob is not in its place yet."""
        program = """
            import os, sys
            from pathlib import Path
            from clary.kernel.core.clock import SystemClock
            from clary.kernel.kv import open_kv
            from clary.kernel.objects import open_objects
            from clary.kernel.objects.settling import Settler
            home = Path(sys.argv[1])
            objects = open_objects(home, open_kv(home, "objects"), SystemClock())
            objects.buckets.create("bucket", "1", "us-east-1")
            objects.put_bytes("bucket", "gone", b"old")
            Settler.present_now = lambda self, committed: None
            Settler.unused = lambda self, blobs: None
            objects.put_bytes("bucket", "small", b"small")
            objects.put_bytes("bucket", "large", b"large" * 100_000)
            objects.delete("bucket", "gone")
            os.kill(os.getpid(), 9)
        """
        process = subprocess.run([sys.executable, "-c", textwrap.dedent(program), str(tmp_path)], check=False)
        assert process.returncode == -signal.SIGKILL
        plain = tmp_path / "objects" / "bucket"
        with opened(tmp_path) as objects:
            assert objects.get_bytes("bucket", "small") == b"small"
            assert objects.get_bytes("bucket", "large") == b"large" * 100_000
            assert [path.name for path in plain.iterdir()] == ["gone"]
            assert objects.heal() == 3
            assert (plain / "small").read_bytes() == b"small"
            assert (plain / "large").read_bytes() == b"large" * 100_000
            assert not (plain / "gone").exists()
            objects.flush()
            assert objects.get_bytes("bucket", "small") == b"small"

    def test_kill_9_while_writing_loses_nothing_acknowledged_and_tears_nothing(self, tmp_path: Path) -> None:
        program = """
            import hashlib, os, random, sys, threading
            from pathlib import Path
            from clary.kernel.core.clock import SystemClock
            from clary.kernel.kv import open_kv
            from clary.kernel.objects import open_objects
            home = Path(sys.argv[1])
            objects = open_objects(home, open_kv(home, "objects"), SystemClock())
            objects.buckets.ensure("bucket", "1", "us-east-1")
            def work(name):
                dice = random.Random(name)
                for n in range(1_000_000):
                    key = f"{name}/{dice.randrange(8)}"
                    if dice.random() < 0.2:
                        objects.delete("bucket", key)
                        line = f"{key} -"
                    else:
                        data = dice.randbytes(dice.choice([10, 5_000, 100_000, 700_000]))
                        objects.put_bytes("bucket", key, data)
                        line = f"{key} {hashlib.md5(data).hexdigest()}"
                    os.write(1, (line + "\\n").encode())
            for name in range(3):
                threading.Thread(target=work, args=(name,)).start()
        """
        moments = random.Random(3)
        for round_number in range(3):
            home = tmp_path / str(round_number)
            process = subprocess.Popen(
                [sys.executable, "-c", textwrap.dedent(program), str(home)], stdout=subprocess.PIPE
            )
            assert process.stdout is not None
            lines = [process.stdout.readline() for _ in range(moments.randrange(5, 60))]
            process.kill()
            lines += process.communicate()[0].splitlines(keepends=True)
            acknowledged = dict(line.decode().split() for line in lines if line.endswith(b"\n"))
            with opened(home) as objects:
                objects.heal()
                objects.flush()
                unsure = 0
                for key in {f"{name}/{n}" for name in range(3) for n in range(8)}:
                    file = home / "objects" / "bucket" / key
                    try:
                        data = objects.get_bytes("bucket", key)
                    except AwsError:
                        found = "-"
                        assert not file.exists()
                    else:
                        found = hashlib.md5(data).hexdigest()
                        assert found == objects.find("bucket", key).etag
                        assert file.read_bytes() == data
                    # Of each thread, one write may have been done and not yet told of.
                    unsure += found != acknowledged.get(key, "-")
                assert unsure <= 3


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_goes_on_alone(objects: Objects) -> None:
    asyncio.run(objects.put("bucket", "before", pieces(b"1")))
    pid = os.fork()
    if pid == 0:
        try:
            asyncio.run(objects.put("bucket", "child", pieces(objects.get_bytes("bucket", "before"))))
            os._exit(0)
        finally:
            os._exit(1)
    asyncio.run(objects.put("bucket", "parent", pieces(b"2")))
    assert os.waitpid(pid, 0)[1] == 0
    assert keys(objects) == ["before", "child", "parent"]


def test_processes_share_a_home(tmp_path: Path) -> None:
    program = """
        import sys
        from pathlib import Path
        from clary.kernel.core.clock import SystemClock
        from clary.kernel.kv import open_kv
        from clary.kernel.objects import open_objects
        home, name = Path(sys.argv[1]), sys.argv[2]
        kv = open_kv(home, "objects")
        objects = open_objects(home, kv, SystemClock())
        objects.buckets.ensure("bucket", "1", "us-east-1")
        for n in range(30):
            objects.put_bytes("bucket", f"own/{name}/{n}", name.encode())
            objects.put_bytes("bucket", "shared", name.encode() * 20_000)
            assert len(set(objects.get_bytes("bucket", "shared"))) == 1
        objects.close()
        kv.close()
    """
    processes = [
        subprocess.Popen([sys.executable, "-c", textwrap.dedent(program), str(tmp_path), name]) for name in "abc"
    ]
    assert [process.wait() for process in processes] == [0, 0, 0]
    with opened(tmp_path) as objects:
        assert len(keys(objects, "own/")) == 90
        shown = (tmp_path / "objects" / "bucket" / "shared").read_bytes()
        assert shown == objects.get_bytes("bucket", "shared")
        assert os.stat(tmp_path / "objects" / "bucket" / "shared").st_size == 20_000
