"""dev only"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from clary.kernel.core.clock import Clock
from clary.kernel.jobs.services import ClientFault, Item
from clary.kernel.kv import KeyValue


class StagedObjects:
    def __init__(self, home: Path, kv: KeyValue, clock: Clock) -> None:
        self.root = home / "dev-objects"

    def list(self, bucket: str, prefix: str) -> Iterator[Item]:
        base = self.root / bucket
        for p in sorted(str(p.relative_to(base)) for p in base.rglob("*") if p.is_file()):
            if p.startswith(prefix):
                yield Item(p, (base / p).stat().st_size)

    def open(self, bucket: str, key: str) -> Path:
        p = self.root / bucket / key
        if not p.exists():
            raise ClientFault(f"missing s3://{bucket}/{key}")
        return p

    def put(self, bucket: str, key: str, path: Path) -> None:
        p = self.root / bucket / key
        p.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, str(p) + ".tmp")
        os.rename(str(p) + ".tmp", p)
