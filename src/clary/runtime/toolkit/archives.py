"""Unpack source archives that strangers made."""

import os
import tarfile
from pathlib import Path

from clary.runtime.errors import CustomerError


def extract(archive: Path, target: Path) -> None:
    """Unpack a .tar.gz below `target`. Raises CustomerError for members that would land outside it, and for devices.

    Where the paths lead is looked up as each member is unpacked, since an earlier one may be a link.
    """
    target.mkdir(parents=True, exist_ok=True)
    base = os.path.realpath(target)
    try:
        with tarfile.open(archive) as tar:
            for member in tar:
                _check(archive, member, base)
                if hasattr(tarfile, "data_filter"):
                    tar.extract(member, base, filter="data")
                else:
                    tar.extract(member, base)
    except (tarfile.TarError, EOFError) as error:
        raise CustomerError(f"cannot unpack {archive}: {error}") from error


def _check(archive: Path, member: tarfile.TarInfo, base: str) -> None:
    place = os.path.join(base, member.name)
    leads_to = [place]
    if member.issym():
        leads_to.append(os.path.join(os.path.dirname(place), member.linkname))
    elif member.islnk():
        leads_to.append(os.path.join(base, member.linkname))
    elif not (member.isfile() or member.isdir()):
        raise CustomerError(f"{archive} holds {member.name!r}, which is neither a file, a directory nor a link")
    for path in leads_to:
        real = os.path.realpath(path)
        if real != base and not real.startswith(base + os.sep):
            raise CustomerError(f"{archive} holds {member.name!r}, which would be written outside {base}")
