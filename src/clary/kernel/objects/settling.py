"""What happens to blobs after their commit: shown in folders before the client is answered, safe on disk soon after.

A small object's bytes are safe in the journal. Its file is written at once but not synced; every second or so one sync
of the file system makes all such files safe, and their journal records go. Files to which nothing refers go later
still, so that whoever looked one up has time to open it.
"""

import logging
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from clary.kernel.core.clock import Clock
from clary.kernel.kv import KeyValue, Transaction
from clary.kernel.kv.group_commit import GroupCommit, Outcome
from clary.kernel.objects.blobs import Blobs
from clary.kernel.objects.folders import Folders
from clary.kernel.objects.journal import read_work
from clary.kernel.objects.keys import span, work_key

# How long a file outlives the last reference to it.
GRACE_SECONDS = 60.0
_SYNC_SECONDS = 1.0
_BATCH = 500

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Committed:
    """What a commit did to one key: the blob that is new, with its bytes if they are in the journal alone."""

    bucket: str
    key: str
    blob: str | None = None
    body: bytes | None = None


class Settler:
    """Carries out the journal of one home; one per process, any number of processes."""

    def __init__(self, kv: KeyValue, blobs: Blobs, folders: Folders, clock: Clock) -> None:
        self._kv = kv
        self._blobs = blobs
        self._folders = folders
        self._clock = clock
        self._presenting: GroupCommit[Committed] = GroupCommit("objects-present", self._present)
        self._unsynced: deque[str] = deque()
        self._unused: deque[tuple[float, str]] = deque()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._stop = threading.Event()

    async def present_async(self, committed: Committed) -> None:
        """Write the file and make the folder agree. The object is safe already, so a failure is only logged."""
        await self._presenting.run_async(committed)

    def present_now(self, committed: Sequence[Committed]) -> None:
        """Like `present_async` for several, on this thread."""
        self._present(committed)

    def unused(self, blobs: Sequence[str]) -> None:
        """Remove files later that nothing refers to."""
        if blobs:
            now = self._clock.now()
            self._unused.extend((now, blob) for blob in blobs)
            self._wake()

    def heal(self, older_than: float) -> int:
        """Do the work that is recorded and older than `older_than` seconds; return how much there was."""
        found = 0
        now = self._clock.now()
        ours = set(self._unsynced) | {blob for _, blob in self._unused.copy()}
        for key, record in self._kv.scan(*span(b"w")):
            work = read_work(key[1:].decode(), record)
            # The files of unused blobs are left alone for the time of grace by those who are to remove them, too.
            patience = older_than if work.keep else older_than and older_than + GRACE_SECONDS
            if (patience and work.since > now - patience) or work.blob in ours:
                continue
            found += 1
            if work.keep:
                self._present([Committed(work.bucket, work.key, work.blob, work.body)], again=True)
            else:
                self._present([Committed(work.bucket, work.key)])
                self._unused.append((work.since, work.blob))
                self._wake()
        for name in self._blobs.strays():
            if self._kv.get(work_key(name)) is None:
                self._blobs.remove_stray(name)
                found += 1
        return found

    def flush(self) -> None:
        """Make everything presented so far safe on disk."""
        done = [self._unsynced.popleft() for _ in range(len(self._unsynced))]
        if done:
            self._blobs.sync()
        for start in range(0, len(done), _BATCH):
            batch = done[start : start + _BATCH]
            self._kv.write(lambda tx, batch=batch: _forget_kept(tx, batch))  # type: ignore[misc]

    def remove_unused(self, grace_seconds: float) -> None:
        """Remove the files that have been unused for so long."""
        limit = self._clock.now() - grace_seconds
        gone = []
        while self._unused and self._unused[0][0] <= limit:
            blob = self._unused.popleft()[1]
            self._blobs.remove(blob)
            gone.append(blob)
        for start in range(0, len(gone), _BATCH):
            batch = gone[start : start + _BATCH]
            self._kv.write(lambda tx, batch=batch: [tx.delete(work_key(blob)) for blob in batch])  # type: ignore[misc]

    def forget(self) -> None:
        """Drop what was planned, after the index was emptied."""
        self._unsynced.clear()
        self._unused.clear()

    def close(self) -> None:
        """Finish what was begun."""
        self._presenting.close()
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        self.flush()

    def _present(self, batch: Sequence[Committed], *, again: bool = False) -> list[Outcome]:
        write = self._blobs.write_again if again else self._blobs.write_first
        written: dict[str, list[Committed]] = {}
        for item in batch:
            try:
                if item.blob is not None and item.body is not None:
                    write(item.blob, item.body)
                elif item.blob is not None:
                    self._blobs.settle(item.blob)
            except OSError:
                _log.exception("the file of s3://%s/%s could not be written yet", item.bucket, item.key)
            else:
                written.setdefault(item.bucket, []).append(item)
        for bucket, items in written.items():
            self._agree(bucket, items)
        if self._unsynced:
            self._wake()
        return [Outcome(None, None)] * len(batch)

    def _agree(self, bucket: str, items: list[Committed]) -> None:
        """Make the folder show what the index says; only what it shows may lose its record after the next sync."""
        with self._blobs.bucket_lock(bucket):
            for item in items:
                try:
                    if item.key:
                        self._folders.agree(bucket, item.key, item.blob)
                    if item.blob is not None:
                        self._unsynced.append(item.blob)
                except OSError:
                    _log.exception("the folder of %s does not show %s yet", bucket, item.key)

    def _wake(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            with self._starting:
                if (self._thread is None or not self._thread.is_alive()) and not self._stop.is_set():
                    self._thread = threading.Thread(target=self._run, name="objects-settle", daemon=True)
                    self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(_SYNC_SECONDS):
            try:
                self.flush()
                self.remove_unused(GRACE_SECONDS)
            except Exception:  # noqa: BLE001 - a thread without a caller: the next pass tries again
                # The records stay, so nothing is lost; `heal` does what this pass could not.
                _log.exception("settling objects failed")


def _forget_kept(tx: Transaction, blobs: Sequence[str]) -> None:
    """Drop the records of blobs that are safe; one that meanwhile says "unused" stays."""
    for blob in blobs:
        record = tx.get(work_key(blob))
        if record is not None and read_work(blob, record).keep:
            tx.delete(work_key(blob))
