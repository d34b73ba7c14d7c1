"""What of a tree is brought to S3 while a host still writes it."""

from pathlib import Path

from clary.kernel.jobs.contract import Output
from clary.kernel.jobs.uploads import TreeSync


class Stored(dict[str, bytes]):
    """The objects that were stored."""

    def put(self, bucket: str, key: str, path: Path) -> None:
        self[key] = path.read_bytes()


def test_a_file_is_taken_once_it_stayed_as_it_was_for_a_round(tmp_path: Path) -> None:
    ml, scratch, stored = tmp_path / "ml", tmp_path / "scratch", Stored()
    scratch.mkdir()
    (ml / "checkpoints").mkdir(parents=True)
    output = Output("checkpoints", "s3://bucket/c", archive=False, continuous=True)
    sync = TreeSync(stored, output, ml, scratch)  # type: ignore[arg-type]  # nothing else of a store is asked
    (ml / "checkpoints" / "done").write_bytes(b"done")
    with open(ml / "checkpoints" / "growing", "wb", buffering=0) as growing:
        for rounds in range(3):
            growing.write(b"x")
            sync.sync(settled=False)
            assert stored == ({"c/done": b"done"} if rounds else {})
    sync.sync(settled=False)
    assert stored == {"c/done": b"done", "c/growing": b"xxx"}
