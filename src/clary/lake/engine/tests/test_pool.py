"""Engines: they do tasks within limits, see nothing but their query's folder, and end when they are told to."""

import contextlib
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import duckdb
import psutil
import pytest

from clary.lake.engine import execution, landlock
from clary.lake.engine import pool as pools
from clary.lake.engine.pool import EngineLost, Pool
from clary.lake.engine.tasks import OUT, RESULT, SPILL, ResultFile, TableFiles, Task, TaskCancelled, TaskFailed
from clary.lake.scans import DataFile, Scan, ScanPartition
from clary.lake.tables import PARQUET, Column
from clary.lake.types import parse_type
from clary.testing import eventually, kill

COLUMNS = (Column("a", parse_type("bigint")), Column("b", parse_type("string")))
ENDLESS = "SELECT count(*) AS n FROM range(10000000) x, range(10000000) y WHERE x.range * y.range % 7 = 3"


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    made = Pool(tmp_path_factory.mktemp("home"), ready=1)
    yield made
    made.close()


@pytest.fixture
def engine(pool):
    taken = pool.take()
    yield taken
    taken.close()
    assert not taken.folder.exists()


def task(sql: str, **members) -> Task:
    return Task(sql=sql, **{"scans": (), "output": ResultFile(), "names": ("n",), "types": ("bigint",), **members})


def processes() -> list[psutil.Process]:
    """Nurseries and what they have forked, those first."""
    found = []
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if "clary.lake.engine.nursery" in process.cmdline()[2:3]:
                found.append(process)
    return found


def forked() -> list[psutil.Process]:
    every = {process.pid for process in processes()}
    found = []
    for process in processes():
        with contextlib.suppress(psutil.Error):
            if process.ppid() in every:
                found.append(process)
    return found


def suspend(those: list[psutil.Process]) -> None:
    for process in those:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.suspend()


def lives(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def scan(engine, rows: int) -> Scan:
    """A table of one file, linked into the query's folder."""
    path = engine.folder / "t0" / "data"
    path.parent.mkdir()
    duckdb.sql(
        f"COPY (SELECT range AS a, repeat('x', 50) || range AS b FROM range({rows})) TO '{path}' (FORMAT parquet)"
    )
    path.chmod(0o444)
    file = DataFile(str(path), "s3://bucket/data", path.stat().st_size)
    return Scan(
        "scan_0", COLUMNS, partitions=(ScanPartition((), PARQUET, {}, COLUMNS),), files=(file,), used=("a", "b")
    )


def test_an_engine_knows_functions_of_python(engine):
    number = "trino_crc32(encode(CAST(range AS VARCHAR))) + CAST(trino_normal_cdf(0, 1, 0) * 2 AS BIGINT)"
    done = engine.run(task(f"SELECT {number} AS n FROM range(2)"))
    assert done.rows == 2
    assert (engine.folder / OUT / RESULT).read_text() == '"n"\n"4108050210"\n"2212294584"\n'


def test_a_task_writes_its_rows_and_counts_what_it_read(engine):
    table = scan(engine, 300_000)
    done = engine.run(task("SELECT sum(a) FROM scan_0", scans=(table,)))
    assert (engine.folder / OUT / RESULT).read_text() == '"n"\n"44999850000"\n'
    assert 0 < done.scanned_bytes < table.files[0].size_bytes, "only a column of two"
    written = engine.run(
        task("SELECT a, b FROM scan_0", scans=(table,), output=TableFiles(PARQUET, COLUMNS, name="part"))
    )
    assert [each.rows for each in written.files] == [300_000]
    assert duckdb.sql(f"SELECT sum(a) FROM read_parquet('{written.files[0].path}')").fetchall() == [(44999850000,)]


def test_a_task_keeps_within_its_limits(engine):
    table = scan(engine, 300_000)
    names = {"names": ("b", "n"), "types": ("varchar", "bigint")}
    every = task(
        "SELECT b, count(*) AS n FROM scan_0 GROUP BY b ORDER BY b", scans=(table,), memory_bytes=60_000_000, **names
    )
    assert engine.run(every).rows == 300_000, "what has no room in memory goes to disk"
    lines = (engine.folder / OUT / RESULT).read_text().splitlines()[1:]
    assert lines == sorted(lines)
    reading = f"{ENDLESS} AND x.range IN (SELECT a + length(b) FROM scan_0)"
    for one, code in (
        (replace(every, spill_bytes=1_000_000), "EXCEEDED_LOCAL_MEMORY_LIMIT"),
        (task(ENDLESS, seconds=0.2), "EXCEEDED_TIME_LIMIT"),
        (task(reading, scans=(table,), most_scanned_bytes=1), "EXCEEDED_SCAN_LIMIT"),
    ):
        with pytest.raises(TaskFailed) as failed:
            engine.run(one)
        assert failed.value.code == code


def test_a_task_sees_its_folder_alone(engine, tmp_path):
    (tmp_path / "secret").write_text("secret")
    for place in (tmp_path / "secret", Path("/etc/passwd")):
        with pytest.raises(TaskFailed, match="disabled by configuration"):
            engine.run(task(f"SELECT size FROM read_text('{place}')"))


@pytest.mark.skipif(landlock.version() == 0, reason="the kernel has no Landlock")
def test_a_process_sees_what_it_is_let(tmp_path):
    for name in ("read", "write", "neither"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    program = f"""
from pathlib import Path
from clary.lake.engine import landlock
home = Path({str(tmp_path)!r})
assert landlock.restrict(read=[home / "read"], write=[home / "write"])
for name in ("read", "write", "neither"):
    for use in (lambda path: path.read_text(), lambda path: path.write_text(name)):
        try:
            use(home / name / "file")
        except PermissionError:
            print(name, "no")
        else:
            print(name, "yes")
"""
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert shown.splitlines() == ["read yes", "read no", "write yes", "write yes", "neither no", "neither no"]


@pytest.fixture
def unforced(monkeypatch):
    """A stop is waited for: on a busy machine its end by force may come before what was asked for."""
    monkeypatch.setattr(pools, "_INTERRUPT_SECONDS", 300.0)


@pytest.mark.usefixtures("unforced")
def test_a_task_is_stopped(engine):
    timer = threading.Timer(0.2, engine.stop)
    timer.start()
    with pytest.raises(TaskCancelled):
        engine.run(task(ENDLESS))


def test_a_stop_that_comes_between_statements_is_kept(tmp_path, monkeypatch):
    (tmp_path / OUT).mkdir()
    doing = execution.Execution(tmp_path)
    monkeypatch.setattr(execution, "teach", lambda *_: doing.interrupt())  # right before a statement begins
    with pytest.raises(duckdb.InterruptException):
        doing.run(task(ENDLESS), lambda: 0.0)
    doing.close()


@pytest.mark.usefixtures("unforced")
def test_a_stop_that_comes_first_is_kept(engine):
    engine.stop()
    with pytest.raises(TaskCancelled):
        engine.run(task(ENDLESS))


def test_practice_leaves_nothing(tmp_path):
    for name in (OUT, SPILL):
        (tmp_path / name).mkdir()
    doing = execution.Execution(tmp_path)
    doing.practise()
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    done = doing.run(task("SELECT 7 AS n"), lambda: 0.0)
    doing.close()
    assert (tmp_path / OUT / RESULT).read_text() == '"n"\n"7"\n'
    assert (done.rows, done.scanned_bytes, done.scanned_rows) == (1, 0, 0), "what was done before is not counted"


def test_an_engine_that_was_killed_is_renewed(pool, engine):
    over = threading.Event()

    def kill_workers():
        """Kill all that were forked, until the task has noticed."""
        while not over.wait(0.1):
            kill(*forked())

    (engine.folder / "kept").write_text("kept")
    killing = threading.Thread(target=kill_workers)
    killing.start()
    with pytest.raises(EngineLost):
        engine.run(task(ENDLESS))
    over.set()
    killing.join()
    pool.renew(engine)
    assert engine.run(task("SELECT 1 AS a")).rows == 1
    assert (engine.folder / "kept").read_text() == "kept"


def test_an_engine_that_was_killed_while_it_waited_is_not_taken(pool):
    pool.take().close()
    eventually(lambda: pool._spare and not pool._spare[0].is_lost())
    kill(*forked())
    eventually(lambda: all(each.is_lost() for each in pool._spare))
    taken = pool.take()
    assert taken.run(task("SELECT 1 AS a")).rows == 1
    taken.close()


def test_no_engine_is_waited_for_in_vain(pool, engine, monkeypatch):
    assert engine.run(task("SELECT 1 AS a")).rows == 1
    monkeypatch.setattr(pools, "_PATIENCE_SECONDS", 0.5)
    suspend(forked())
    with pytest.raises(EngineLost):
        engine.run(task("SELECT 1 AS a", seconds=0.1))
    monkeypatch.undo()
    pool.renew(engine)
    assert engine.run(task("SELECT 1 AS a")).rows == 1


def test_what_is_forked_from_has_no_threads(pool, engine):
    parents = {each.parent() for each in forked()}
    assert [each.num_threads() for each in parents] == [1]


def test_a_nursery_that_does_not_answer_is_replaced(pool, engine, monkeypatch):
    monkeypatch.setattr(pools, "_INTERRUPT_SECONDS", 0.2)
    eventually(lambda: pool._spare)
    before = processes()
    suspend(before)
    pool._nursery._orders.settimeout(0.2)
    pool.renew(engine)
    assert engine.run(task("SELECT 1 AS a")).rows == 1
    eventually(lambda: not any(lives(each) for each in before))
