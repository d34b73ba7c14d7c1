"""Let this process see some folders and nothing else, by Linux's Landlock: for good, and without privileges.

Source: the kernel's "Landlock: unprivileged access control".
"""

import ctypes
import os
import struct
import sys
from collections.abc import Iterable
from pathlib import Path

_CREATE, _ADD, _RESTRICT = 444, 445, 446  # the same numbers on every architecture
_VERSION_FLAG = 1
_PATH_BENEATH = 1
_NO_NEW_PRIVILEGES = 38
_READ_FILE, _READ_FOLDER, _EXECUTE = 1 << 2, 1 << 3, 1 << 0
_READ = _READ_FILE | _READ_FOLDER | _EXECUTE
_FILE_ONLY = _READ_FILE | _EXECUTE | 1 << 1 | 1 << 14
# The accesses that each version of Landlock has added; without a rule, those that are handled are denied.
_BY_VERSION = ((1, (1 << 13) - 1), (2, 1 << 13), (3, 1 << 14), (5, 1 << 15))
_NETWORK = 0b11  # binding and connecting by TCP, since version 4
_SCOPES = 0b11  # abstract sockets and signals of others, since version 6


def version() -> int:
    """Which version of Landlock the kernel has; 0 for none."""
    if not sys.platform.startswith("linux"):
        return 0
    return max(0, int(_libc().syscall(_CREATE, None, 0, _VERSION_FLAG)))


def restrict(*, read: Iterable[Path], write: Iterable[Path]) -> bool:
    """Have this thread, and those that it starts from now on, use what lies below these paths alone, and no network.

    False where the kernel has no Landlock: nothing has changed then. Raises OSError where it refuses.
    """
    found = version()
    if not found:
        return False
    handled = sum(bits for since, bits in _BY_VERSION if since <= found)
    words = [handled, *([_NETWORK] if found >= 4 else []), *([_SCOPES] if found >= 6 else [])]
    attribute = struct.pack(f"={len(words)}Q", *words)
    libc = _libc()
    rules = _checked(libc.syscall(_CREATE, attribute, len(attribute), 0))
    try:
        for paths, access in ((read, _READ), (write, handled)):
            for path in paths:
                _allow(libc, rules, path, access & handled)
        _checked(libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0))
        _checked(libc.syscall(_RESTRICT, rules, 0))
    finally:
        os.close(rules)
    return True


def _allow(libc: ctypes.CDLL, rules: int, path: Path, access: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        allowed = access if path.is_dir() else access & _FILE_ONLY
        _checked(libc.syscall(_ADD, rules, _PATH_BENEATH, struct.pack("=Qi", allowed, descriptor), 0))
    finally:
        os.close(descriptor)


def _checked(result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return int(result)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
