"""What a bucket's folder shows: for each current object a plain file under its key, for programs that read files.

The files are hard links to blobs, so they cost no space and are replaced at once. The index stays the truth: a folder
is made to agree with it key by key, under the bucket's lock, and may be made to agree again at any time. Keys that
cannot be paths (`a//b`, `../a`, `a/`, names that are too long) are shown nowhere. Where `a` and `a/b` both exist, the
folder `a` wins: `a` itself is shown again once nothing lies below it.
"""

import errno
import os
import secrets
import shutil
from collections.abc import Callable

from clary.kernel.objects.blobs import CANNOT_LINK, HIDDEN, Blobs

_LONGEST_NAME = 255
_LONGEST_PATH = 3800


def plain_path(key: str) -> str | None:
    """Return the path of a key below its bucket's folder, None when it cannot have one."""
    if "\0" in key or len(key) > _LONGEST_PATH:
        return None
    for name in key.split("/"):
        if name in {"", ".", ".."} or len(name.encode()) > _LONGEST_NAME:
            return None
    return key


class Folders:
    """The bucket folders of one home. `current` says which blob is an object's current one, None for no object."""

    def __init__(self, blobs: Blobs, current: Callable[[str, str], str | None]) -> None:
        self._blobs = blobs
        self._root = str(blobs.root)
        self._current = current

    def create(self, bucket: str) -> None:
        os.makedirs(f"{self._root}/{bucket}", exist_ok=True)

    def remove(self, bucket: str) -> None:
        """Remove the folder of a bucket that is no more. Files that are no objects stay, and what they are in."""
        with self._blobs.bucket_lock(bucket):
            for folder, _, _ in os.walk(f"{self._root}/{bucket}", topdown=False):
                try:
                    os.rmdir(folder)
                except OSError:
                    continue

    def agree(self, bucket: str, key: str, written: str | None = None) -> None:
        """Make the folder show what the index says of `key`. Hold the bucket's lock.

        `written` is a blob known to be in its place.
        """
        path = plain_path(key)
        if path is None:
            return
        blob = self._current(bucket, key)
        target = f"{self._root}/{bucket}/{path}"
        if blob is None:
            self._hide(bucket, target)
        else:
            source = self._blobs.path(blob) if blob == written else self._blobs.find(blob)
            # Without a file yet, whoever stored the object will show it.
            if source is not None:
                self._show(bucket, source, target)

    def _show(self, bucket: str, source: str, target: str) -> None:
        try:
            os.link(source, target)
            return
        except FileExistsError:
            pass
        except (FileNotFoundError, NotADirectoryError):
            if not self._make_folders(bucket, target):
                return
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                return
            if error.errno not in CANNOT_LINK:
                raise
        if os.path.isdir(target):
            try:
                os.rmdir(target)
            except OSError:
                # Objects below it: the folder wins.
                return
        draft = f"{self._root}/{HIDDEN}/new/shown-{secrets.token_hex(8)}"
        try:
            os.link(source, draft)
        except OSError as error:
            if error.errno not in CANNOT_LINK:
                raise
            shutil.copyfile(source, draft)
        os.replace(draft, target)
        # Renaming a link onto another link of the same file does nothing and leaves the first.
        try:
            os.unlink(draft)
        except FileNotFoundError:
            return

    def _make_folders(self, bucket: str, target: str) -> bool:
        """Make the folders `target` lies in; objects whose path one of them takes yield. Say whether it worked."""
        above = os.path.dirname(target)
        try:
            os.makedirs(above, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            path = f"{self._root}/{bucket}"
            for name in os.path.relpath(above, path).split("/"):
                path = f"{path}/{name}"
                if os.path.lexists(path) and not os.path.isdir(path):
                    os.unlink(path)
            os.makedirs(above, exist_ok=True)
        return os.path.isdir(above)

    def _hide(self, bucket: str, target: str) -> None:
        try:
            os.unlink(target)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return
        except PermissionError:
            # What macOS says of unlinking a folder.
            if os.path.isdir(target):
                return
            raise
        home = f"{self._root}/{bucket}"
        above = os.path.dirname(target)
        while above != home:
            try:
                os.rmdir(above)
            except OSError:
                return
            # The folder had hidden an object of its name.
            key = above[len(home) + 1 :]
            blob = self._current(bucket, key)
            source = None if blob is None else self._blobs.find(blob)
            if source is not None:
                self._show(bucket, source, above)
                return
            above = os.path.dirname(above)
