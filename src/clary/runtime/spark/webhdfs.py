"""A WebHDFS server over S3, for the Hadoop clients of one job: what of the protocol Spark's file systems ask.

    http://HOST:PORT/webhdfs/v1/SECRET/BUCKET/KEY?op=OPEN

The secret keeps out other jobs of this machine, which could connect as well. Below `/SECRET/.mounts` lies one file made
anew whenever it is read: the mount table that leads `s3://BUCKET` here, for every bucket there is by then.
"""

import json
import re
import secrets
import socket
import threading
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedIOBase, RawIOBase
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

from clary.runtime.spark.tree import Entry, Tree, split

_PREFIX = "/webhdfs/v1"
_MOUNTS = ".mounts"
_BLOCK_BYTES = 128 * 1024**2
_JAVA = {
    "FileNotFoundException": ("java.io.FileNotFoundException", 404),
    "AccessControlException": ("org.apache.hadoop.security.AccessControlException", 403),
    "FileAlreadyExistsException": ("org.apache.hadoop.fs.FileAlreadyExistsException", 403),
    "UnsupportedOperationException": ("java.lang.UnsupportedOperationException", 400),
    "IOException": ("java.io.IOException", 403),
}


class Refused(Exception):
    """An answer that is one of Java's exceptions."""

    def __init__(self, exception: str, message: str) -> None:
        super().__init__(message)
        self.exception = exception


class WebHdfs:
    """The server, from its start until `close`. `buckets` are mounted besides those that the job may list."""

    def __init__(self, tree: Tree, host: str, buckets: Iterable[str] = ()) -> None:
        self.tree = tree
        self.secret = secrets.token_hex(16)
        self._named = set(buckets)
        self._version = 0
        self._server = _Server((host, 0), _Handler)
        self._server.facade = self
        self._place = f"webhdfs://{host}:{self._server.server_port}/{self.secret}"
        threading.Thread(target=self._server.serve_forever, daemon=True, name="webhdfs").start()

    def hadoop_properties(self) -> dict[str, str]:
        """What Hadoop must be told so that s3://, s3a:// and s3n:// lead here."""
        overloaded = "org.apache.hadoop.fs.viewfs.ViewFileSystemOverloadScheme"
        return {
            **{f"fs.{scheme}.impl": overloaded for scheme in ("s3", "s3a", "s3n")},
            "fs.viewfs.mounttable.path": f"{self._place}/{_MOUNTS}",
            "fs.viewfs.enable.inner.cache": "true",
            "dfs.webhdfs.socket.connect-timeout": "60s",
            "dfs.webhdfs.socket.read-timeout": "600s",
        }

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def mount_table(self) -> bytes:
        """The mount table of all buckets, as Hadoop's configuration files are written."""
        from botocore.exceptions import ClientError

        names = set(self._named)
        try:
            names.update(self.tree.buckets())
        except ClientError:  # the role may not list them: then those that the job names must do
            pass
        properties = "".join(
            f"<property><name>fs.viewfs.mounttable.{escape(name)}.linkFallback</name>"
            f"<value>{self._place}/{escape(name)}</value></property>"
            for name in sorted(names)
        )
        return f"<configuration>{properties}</configuration>".encode()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    facade: WebHdfs


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def log_message(self, format: str, *arguments: Any) -> None:
        """The job's log is the user's."""

    def do_GET(self) -> None:
        self._answer({
            "GETFILESTATUS": self._status,
            "LISTSTATUS": self._list,
            "LISTSTATUS_BATCH": self._list_batch,
            "OPEN": self._open,
            "GETFILEBLOCKLOCATIONS": self._blocks,
            "GETHOMEDIRECTORY": lambda _: self._reply({"Path": "/user/hadoop"}),
            "GETTRASHROOT": lambda _: self._reply({"Path": "/user/hadoop/.Trash"}),
            "GETCONTENTSUMMARY": self._summary,
        })  # fmt: skip

    def do_PUT(self) -> None:
        nothing = self._nothing
        self._answer({
            "CREATE": self._create,
            "MKDIRS": self._make,
            "RENAME": self._rename,
            # S3 has neither owners nor permissions nor times to be set: as S3 file systems do, say yes and leave it.
            "SETPERMISSION": nothing, "SETOWNER": nothing, "SETTIMES": nothing, "SETREPLICATION": nothing,
        })  # fmt: skip

    def do_DELETE(self) -> None:
        self._answer({"DELETE": self._delete})

    def do_POST(self) -> None:
        self._answer({})

    def _answer(self, operations: dict[str, Any]) -> None:
        from botocore.exceptions import BotoCoreError, ClientError

        url = urlsplit(self.path)
        self._query = {name.lower(): values[0] for name, values in parse_qs(url.query).items()}
        operation = self._query.get("op", "").upper()
        try:
            path = self._below_secret(unquote(url.path.removeprefix(_PREFIX)))
            if operation not in operations:
                raise Refused("UnsupportedOperationException", f"{operation} cannot be done on objects of S3.")
            operations[operation](path)
        except Refused as refused:
            self._refuse(refused)
        except ClientError as error:
            self._refuse(_refusal(error))
        except (BotoCoreError, OSError) as error:
            if isinstance(error, BrokenPipeError | ConnectionResetError):
                self.close_connection = True
                return
            self._refuse(Refused("IOException", str(error)))

    def _below_secret(self, path: str) -> str:
        """The path in the tree: what comes behind the secret."""
        start = f"/{self.server.facade.secret}"
        if not (path + "/").startswith(start + "/"):
            raise Refused("AccessControlException", "This file system belongs to another job.")
        return re.sub("/+", "/", path[len(start) :]).rstrip("/") or "/"

    @property
    def _tree(self) -> Tree:
        return self.server.facade.tree

    def _is_mounts(self, path: str) -> bool:
        return split(path)[0] == _MOUNTS

    def _found(self, path: str) -> Entry:
        if self._is_mounts(path):
            name = split(path)[1]
            table = self.server.facade.mount_table()
            return Entry(name, folder=False, size=len(table)) if name else Entry(_MOUNTS, folder=True)
        found = self._tree.find(path)
        if found is None:
            raise Refused("FileNotFoundException", f"File does not exist: s3:/{path}")
        return found

    def _status(self, path: str) -> None:
        self._reply({"FileStatus": _status(self._found(path), "")})

    def _children(self, path: str) -> list[dict[str, Any]]:
        entry = self._found(path)
        if self._is_mounts(path):
            return [_status(self._found(f"/{_MOUNTS}/mount-table.1.xml"), "mount-table.1.xml")]
        if not entry.folder:
            return [_status(entry, "")]
        return [_status(one, one.name) for one in self._tree.children(path)]

    def _list(self, path: str) -> None:
        self._reply({"FileStatuses": {"FileStatus": self._children(path)}})

    def _list_batch(self, path: str) -> None:
        listed = {"FileStatuses": {"FileStatus": self._children(path)}}
        self._reply({"DirectoryListing": {"partialListing": listed, "remainingEntries": 0}})

    def _summary(self, path: str) -> None:
        files, folders, size = 0, 0, 0
        waiting = [path]
        while waiting:
            place = waiting.pop()
            entry = self._found(place)
            if entry.folder:
                folders += 1
                children = self._tree.children(place)
                waiting += [f"{place}/{one.name}" for one in children if one.folder]
                files += sum(not one.folder for one in children)
                size += sum(one.size for one in children)
            else:
                files, size = files + 1, size + entry.size
        counted = {"directoryCount": folders, "fileCount": files, "length": size, "spaceConsumed": size}
        self._reply({"ContentSummary": {**counted, "quota": -1, "spaceQuota": -1}})

    def _blocks(self, path: str) -> None:
        length = int(self._query.get("length") or self._found(path).size)
        block = {
            "offset": int(self._query.get("offset", 0)), "length": length, "hosts": ["localhost"], "cachedHosts": [],
            "names": ["localhost:0"], "topologyPaths": ["/default-rack/localhost:0"], "storageTypes": ["DISK"],
            "corrupt": False,
        }  # fmt: skip
        self._reply({"BlockLocations": {"BlockLocation": [block]}})

    def _open(self, path: str) -> None:
        offset = int(self._query.get("offset", 0))
        length = int(self._query["length"]) if "length" in self._query else None
        if self._is_mounts(path):
            table = self.server.facade.mount_table()[offset:]
            size, chunks = len(table), iter((table,))
        else:
            if self._found(path).folder:
                raise Refused("IOException", f"s3:/{path} is a folder.")
            size, chunks = self._tree.open(path, offset, length)
        self.send_response(200)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(size))
        self.end_headers()
        for chunk in chunks:
            self.wfile.write(chunk)

    def _create(self, path: str) -> None:
        """First without data, answered by where to send it; which is here again."""
        if "data" not in self._query:
            there = self._tree.find(path)
            if there is not None and (there.folder or self._query.get("overwrite", "true") == "false"):
                raise Refused("FileAlreadyExistsException", f"s3:/{path} already exists")
            self._take_body()
            self.send_response(307)
            self.send_header("Location", f"http://{self.headers['Host']}{self.path}&data=true")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self._tree.write(path, self._body())
        self.send_response(201)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _make(self, path: str) -> None:
        there = self._tree.find(path)
        if there is not None and not there.folder:
            raise Refused("FileAlreadyExistsException", f"s3:/{path} is a file")
        self._tree.make_folder(path)
        self._reply({"boolean": True})

    def _rename(self, path: str) -> None:
        target = self._below_secret(self._query["destination"])
        self._reply({"boolean": self._tree.rename(path, target)})

    def _delete(self, path: str) -> None:
        recursive = self._query.get("recursive", "false") == "true"
        self._reply({"boolean": self._tree.delete(path, recursive=recursive)})

    def _nothing(self, path: str) -> None:
        self._found(path)
        self._reply({"boolean": True} if self._query["op"].upper() == "SETREPLICATION" else None)

    def _reply(self, document: Any, status: int = 200) -> None:
        """Without a Content-Type: Hadoop takes the document for JSON then, whatever it expects otherwise."""
        self._take_body()
        body = b"" if document is None else json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _refuse(self, refused: Refused) -> None:
        java, status = _JAVA[refused.exception]
        told = {"exception": refused.exception, "javaClassName": java, "message": str(refused)}
        self.close_connection = True  # what was sent along may not have been read
        self._reply({"RemoteException": told}, status)

    def _take_body(self) -> None:
        """Read what came with the request, so that the next on this connection begins where it should."""
        length = int(self.headers.get("Content-Length") or 0)
        if length and not self.close_connection:
            self.rfile.read(length)

    def _body(self) -> Any:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            return _Chunks(self.rfile)
        return _Bounded(self.rfile, int(self.headers.get("Content-Length") or 0))


class _Bounded(RawIOBase):
    """So many bytes of a request."""

    def __init__(self, source: BufferedIOBase, size: int) -> None:
        self._source = source
        self._left = size

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self._source.read(self._left if size < 0 else min(size, self._left))
        if self._left and not data and size:
            raise ConnectionResetError("the request ended early")
        self._left -= len(data)
        return data


class _Chunks(RawIOBase):
    """The body of a request in HTTP's chunked coding. Raises ConnectionResetError when it ends early."""

    def __init__(self, source: BufferedIOBase) -> None:
        self._source = source
        self._left = 0
        self._over = False

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        parts: list[bytes] = []
        wanted = size
        while not self._over and wanted != 0:
            if not self._left:
                self._next_chunk()
                continue
            data = self._source.read(self._left if wanted < 0 else min(wanted, self._left))
            if not data:
                raise ConnectionResetError("the request ended early")
            parts.append(data)
            self._left -= len(data)
            wanted -= len(data) if wanted > 0 else 0
            if not self._left:
                self._source.readline()
        return b"".join(parts)

    def _next_chunk(self) -> None:
        line = self._source.readline()
        if not line:
            raise ConnectionResetError("the request ended early")
        self._left = int(line.split(b";")[0], 16)
        if not self._left:
            self._over = True
            while self._source.readline().strip():
                pass


def _status(entry: Entry, suffix: str) -> dict[str, Any]:
    return {
        "pathSuffix": suffix,
        "type": "DIRECTORY" if entry.folder else "FILE",
        "length": entry.size,
        "modificationTime": entry.modified_ms,
        "accessTime": entry.modified_ms,
        "blockSize": 0 if entry.folder else _BLOCK_BYTES,
        "replication": 0 if entry.folder else 1,
        "permission": "777" if entry.folder else "666",
        "owner": "hadoop",
        "group": "hadoop",
        "fileId": 0,
        "childrenNum": 0,
        "storagePolicy": 0,
    }


def _refusal(error: Any) -> Refused:
    code, message = error.response["Error"].get("Code", ""), error.response["Error"].get("Message", "")
    if code in {"AccessDenied", "403"}:
        return Refused("AccessControlException", f"S3 refuses it to the job's role: {code}: {message}")
    if code in {"NoSuchKey", "NoSuchBucket", "404"}:
        return Refused("FileNotFoundException", f"{code}: {message}")
    return Refused("IOException", f"{code}: {message}")
