"""What `smspark-submit` makes of its arguments, and the WebHDFS server over a real S3, asked as Hadoop asks it."""

import http.client
import json
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from clary.runtime.errors import CustomerError
from clary.runtime.spark import submit
from clary.runtime.spark.configuration import read_configuration
from clary.runtime.spark.tree import Tree
from clary.runtime.spark.webhdfs import WebHdfs
from clary.testing import Server


class Hadoop:
    """A client of the facade. Paths are `/bucket/key`."""

    def __init__(self, facade: WebHdfs) -> None:
        place = urlsplit(facade.hadoop_properties()["fs.viewfs.mounttable.path"])
        self.host, self.port, self.secret = place.hostname or "", place.port or 0, facade.secret

    def url(self, path: str, op: str, **query: str) -> str:
        rest = "".join(f"&{name}={quote(value, safe='')}" for name, value in query.items())
        return f"/webhdfs/v1/{self.secret}{quote(path)}?op={op}{rest}"

    def ask(self, method: str, path: str, op: str, **query: str) -> tuple[int, bytes]:
        with closing(http.client.HTTPConnection(self.host, self.port, timeout=60)) as connection:
            connection.request(method, self.url(path, op, **query))
            answer = connection.getresponse()
            return answer.status, answer.read()

    def json(self, method: str, path: str, op: str, **query: str) -> Any:
        return json.loads(self.ask(method, path, op, **query)[1])

    def create(self, path: str, data: list[bytes], **query: str) -> int:
        """First without the data, then with it, to where the answer says."""
        with closing(http.client.HTTPConnection(self.host, self.port, timeout=60)) as connection:
            connection.request("PUT", self.url(path, "CREATE", **query))
            first = connection.getresponse()
            first.read()
            if first.status != 307:
                return first.status
            chunked = {"Transfer-Encoding": "chunked"}
            connection.request("PUT", first.headers["Location"], iter(data), chunked, encode_chunked=True)
            with connection.getresponse() as answer:
                return answer.status

    def rename(self, path: str, target: str) -> Any:
        return self.json("PUT", path, "RENAME", destination=f"/{self.secret}{target}")["boolean"]

    def names(self, path: str) -> list[str]:
        listed = self.json("GET", path, "LISTSTATUS_BATCH")["DirectoryListing"]["partialListing"]
        found = listed["FileStatuses"]["FileStatus"]
        return [one["pathSuffix"] + "/" * (one["type"] == "DIRECTORY") for one in found]


@pytest.fixture
def bucket(server: Server, unique: Callable[[str], str]) -> str:
    name = unique("hadoop")
    server.client("s3").create_bucket(Bucket=name)
    return name


@pytest.fixture
def hadoop(server: Server) -> Iterator[Hadoop]:
    facade = WebHdfs(Tree(server.client("s3")), "127.0.0.1", {"somebody-elses"})
    yield Hadoop(facade)
    facade.close()


def keys(server: Server, bucket: str) -> list[str]:
    return [one["Key"] for one in server.client("s3").list_objects_v2(Bucket=bucket).get("Contents", ())]


def test_files_are_written_whole_and_read_from_anywhere(server: Server, hadoop: Hadoop, bucket: str) -> None:
    path = f"/{bucket}/a folder/ä%2F+.bin"
    assert hadoop.create(path, [b"0123", b"456789" * 100_000]) == 201
    assert keys(server, bucket) == ["a folder/ä%2F+.bin"]
    assert hadoop.ask("GET", path, "OPEN", offset="2", length="4") == (200, b"2345")
    assert hadoop.ask("GET", path, "OPEN", offset="700000") == (200, b"")
    assert hadoop.json("GET", path, "GETFILESTATUS")["FileStatus"]["length"] == 600_004
    assert hadoop.create(path, [b"x"], overwrite="false") == 403
    assert hadoop.create(path, [b"x"]) == 201
    assert hadoop.ask("GET", path, "OPEN") == (200, b"x")


def test_a_writer_that_dies_leaves_no_object(server: Server, hadoop: Hadoop, bucket: str) -> None:
    target = hadoop.url(f"/{bucket}/half", "CREATE", data="true")
    with socket.create_connection((hadoop.host, hadoop.port)) as connection:
        head = f"PUT {target} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
        connection.sendall(f"{head}4\r\nhalf\r\n".encode())
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(4096):
            pass
    assert keys(server, bucket) == []


def test_folders_are_there_while_something_is_below_or_they_were_made(
    server: Server, hadoop: Hadoop, bucket: str
) -> None:
    assert hadoop.json("PUT", f"/{bucket}/made/deep", "MKDIRS") == {"boolean": True}
    assert hadoop.names(f"/{bucket}") == ["made/"]
    assert keys(server, bucket) == [], "no markers"
    for name in ("one", "two"):
        hadoop.create(f"/{bucket}/made/deep/_temporary/{name}", [name.encode()])
    assert hadoop.rename(f"/{bucket}/made/deep/_temporary", f"/{bucket}/done")
    assert keys(server, bucket) == ["done/one", "done/two"]
    assert hadoop.rename(f"/{bucket}/done/one", f"/{bucket}/made"), "a file moves into a folder"
    assert not hadoop.rename(f"/{bucket}/done/two", f"/{bucket}/made/one"), "and not over a file"
    assert hadoop.ask("DELETE", f"/{bucket}/made", "DELETE")[0] == 403
    assert hadoop.json("DELETE", f"/{bucket}/made", "DELETE", recursive="true") == {"boolean": True}
    assert keys(server, bucket) == ["done/two"]
    assert hadoop.ask("GET", f"/{bucket}/made", "GETFILESTATUS")[0] == 404


def test_every_bucket_is_mounted_when_it_is_asked_for_and_strangers_stay_outside(hadoop: Hadoop, bucket: str) -> None:
    [table] = hadoop.names("/.mounts")
    text = hadoop.ask("GET", f"/.mounts/{table}", "OPEN")[1].decode()
    for name in (bucket, "somebody-elses"):
        assert f"<name>fs.viewfs.mounttable.{name}.linkFallback</name>" in text
    assert hadoop.ask("GET", "/no-such-bucket/x", "GETFILESTATUS")[0] == 404
    refused = hadoop.json("POST", f"/{bucket}/x", "APPEND")["RemoteException"]
    assert refused["exception"] == "UnsupportedOperationException"
    hadoop.secret = "guessed"
    assert hadoop.ask("GET", f"/{bucket}", "LISTSTATUS")[0] == 403


def test_options_are_those_of_spark_and_of_sagemakers_image(tmp_path: Path) -> None:
    jars = tmp_path / "jars"
    jars.mkdir()
    for name in ("b.jar", "a.jar"):
        (jars / name).touch()
    events = tmp_path / "events"
    given = ["--class", "Main", "--jars", f"s3://b/x.jar,{jars}", f"--local-spark-event-logs-dir={events}"]
    options, properties, application = submit._parsed([*given, "app.jar", "--class", "x"])
    assert options == ["--class", "Main", "--jars", f"s3://b/x.jar,{jars}/a.jar,{jars}/b.jar"]
    assert properties == {"spark.eventLog.enabled": "true", "spark.eventLog.dir": f"file://{events}"}
    assert application == ["app.jar", "--class", "x"]
    assert events.is_dir()
    with pytest.raises(CustomerError, match="needs an application"):
        submit._parsed(["--verbose"])


def test_configurations_count_are_named_or_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "configuration.json"
    assert read_configuration(file).spark == {}
    export = {"Classification": "export", "Properties": {"A": "1"}}
    file.write_text(json.dumps([
        {"Classification": "spark-defaults", "Properties": {"spark.executor.cores": 2}},
        {"Classification": "spark-env", "Properties": {}, "Configurations": [export]},
        {"Classification": "core-site", "Properties": {"x": "y"}},
        {"Classification": "yarn-site", "Properties": {"z": "1"}},
    ]))  # fmt: skip
    found = read_configuration(file)
    assert (found.spark, found.environment) == ({"spark.executor.cores": "2"}, {"A": "1"})
    assert (found.hadoop, found.ignored) == ({"x": "y"}, ["yarn-site"])
    for wrong, message in ((b"{", "not JSON"), (b'[{"Classification": "presto"}]', "unknown classification 'presto'")):
        file.write_bytes(wrong)
        with pytest.raises(CustomerError, match=message):
            read_configuration(file)
