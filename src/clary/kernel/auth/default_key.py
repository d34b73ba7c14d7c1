"""The default pair of access key and secret: a file of the home, readable by its owner alone.

A file and not a record, so that `clary env` needs no database and an ephemeral server's reset leaves it alone.
"""

import os
import secrets
import string
from functools import lru_cache
from pathlib import Path

import orjson

from clary.kernel.core.ids import new_id, prefixed_id

_SECRET_ALPHABET = string.ascii_letters + string.digits + "+/"


@lru_cache(maxsize=64)
def default_key(home: Path) -> tuple[str, str]:
    """Access key id and secret; made, once for all processes, when the home has none yet."""
    path = home / "default-key.json"
    if not path.exists():
        _make(path)
    found = orjson.loads(path.read_bytes())
    return found["access_key"], found["secret"]


def new_pair(prefix: str) -> tuple[str, str]:
    """A fresh access key id and its secret."""
    return prefixed_id(prefix, 16), "".join(secrets.choice(_SECRET_ALPHABET) for _ in range(40))


def _make(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    access_key, secret = new_pair("AKIA")
    draft = path.with_name(f".{path.name}.{new_id()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "wb") as file:
        file.write(orjson.dumps({"access_key": access_key, "secret": secret}))
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)
    except FileExistsError:
        pass  # another process was first: its pair is the one
    finally:
        draft.unlink()
