"""OpenSearch's destination against a real server that speaks its protocol: every document once, or known as refused."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from osmem_server import OsmemServer

from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Platform
from clary.systems.firehose.destinations import opensearch
from clary.systems.firehose.destinations.contract import Unavailable
from clary.systems.firehose.tests.warehouses.conftest import ROLE, Search, ended, records, stream_of
from clary.testing import reserved_port

KIND = "AmazonopensearchserviceDestinationConfiguration"


def opened(platform: Platform, url: str, index: str, kind: str = KIND, **more: Any) -> opensearch.OpenSearch:
    configuration = {"RoleARN": ROLE, "ClusterEndpoint": url, "IndexName": index, "IndexRotationPeriod": "NoRotation"}
    opensearch.check(configuration | more)
    return opensearch.open(platform, stream_of(configuration | more, kind), configuration | more)


@pytest.fixture
def index(unique: Callable[[str], str]) -> str:
    return unique("orders").lower()


def test_every_document_once_and_those_refused_named(platform: Platform, search: Search, index: str) -> None:
    destination = opened(platform, search.server.url, index)
    rows: list[bytes | str] = [f'{{"n": {number}}}\n' for number in range(50)]
    rows[3] = '{"n":\r\n {"text": "no number"}}'
    rows[7], rows[8], rows[9] = "no JSON", "[1]", b'{"n": 9, "b": "\xff"}'
    rows[11] = '{\n  "n": 11,\n  "big": 12345678901234567890123.10\n}\n\n'
    batch = records(*rows)
    failures = destination.deliver(batch)
    assert [failure.index for failure in failures] == [3, 7, 8, 9]
    assert {failure.code for failure in failures} == {"400"}
    assert json.loads(failures[0].message)["type"] == "mapper_parsing_exception"
    expected = {f"{index}/record-{number}": number for number in range(50) if number not in (3, 7, 8, 9)}
    assert {name: found["n"] for name, found in search.documents(index).items()} == expected

    assert len(destination.deliver(batch)) == 4, "a batch may come again"
    assert len(search.documents(index)) == len(expected)
    assert destination.details(batch[3]) == {"esDocumentId": "record-3", "esIndexName": index, "esTypeName": ""}
    destination.close()
    destination.close()


@pytest.mark.parametrize(
    ("rotation", "suffix"),
    [
        ("NoRotation", ""),
        ("OneHour", "-2027-01-01-23"),
        ("OneDay", "-2027-01-01"),
        ("OneWeek", "-2027-w01"),
        ("OneMonth", "-2027-01"),
    ],
)
def test_an_index_is_named_by_the_arrival(
    platform: Platform, search: Search, index: str, rotation: str, suffix: str
) -> None:
    late = round(datetime(2027, 1, 1, 23, 59, 59, tzinfo=UTC).timestamp() * 1000)
    destination = opened(platform, search.server.url, index, IndexRotationPeriod=rotation)
    assert destination.deliver(records('{"a": 1}', at_ms=late)) == []
    assert set(search.documents(f"{index}*")) == {f"{index}{suffix}/record-0"}
    destination.close()


def test_a_busy_server_gets_again_only_what_it_did_not_take(platform: Platform, search: Search, index: str) -> None:
    """Without ids a document that is sent twice is there twice."""
    proxy = search.proxy
    destination = opened(platform, proxy.url, index)
    batch = records('{"n": 0}', '{"n": 1}', "no JSON", '{"n": 3}')
    proxy.busy = {"record-1", "record-3"}
    with pytest.raises(Unavailable, match=r"429: .*busy") as caught:
        destination.deliver(batch)
    assert caught.value.code == "OS.ServiceException"
    proxy.busy, proxy.requests = {"record-3"}, []
    with pytest.raises(Unavailable):
        destination.deliver(batch)
    proxy.busy, proxy.requests = set(), []
    assert [failure.index for failure in destination.deliver(batch)] == [2]
    assert [json.loads(line) for line in b"".join(proxy.requests).splitlines()[1::2]] == [{"n": 3}]
    assert sorted(found["n"] for found in search.documents(index).values()) == [0, 1, 3]

    proxy.busy = {"record-3"}
    with pytest.raises(Unavailable):
        destination.deliver(batch)
    given_up = destination.give_up(batch, "OS.ServiceException", "busy")
    assert [(failure.index, failure.code) for failure in given_up] == [(2, "400"), (3, "OS.ServiceException")]
    proxy.busy = set()

    more = opened(platform, proxy.url, index, DocumentIdOptions={"DefaultDocumentIdFormat": "NO_DOCUMENT_ID"})
    assert more.deliver(batch)[0].index == 2
    assert more.details(batch[0])["esDocumentId"] == ""
    assert sorted(found["n"] for found in search.documents(index).values()) == [0, 0, 1, 1, 3, 3]
    destination.close()
    more.close()


def test_what_is_too_large_for_one_request_is_sent_in_several(platform: Platform, search: Search, index: str) -> None:
    destination = opened(platform, search.proxy.url, index)
    search.proxy.most_bytes = 300
    search.proxy.requests = []
    try:
        failures = destination.deliver(records(*(f'{{"n": {number}}}' for number in range(20)), json.dumps("x" * 400)))
        failures += destination.deliver(records(json.dumps({"n": "x" * 400})))
    finally:
        search.proxy.most_bytes = 1 << 30
    assert [(failure.index, failure.code) for failure in failures] == [(20, "400"), (0, "413")]
    assert len(search.documents(index)) == 20
    destination.close()


@pytest.mark.parametrize(
    ("status", "code"),
    [(401, "AccessDenied"), (403, "AccessDenied"), (404, "ResourceNotFound"), (503, "ServiceException")],
)
def test_a_request_that_is_refused_as_a_whole(
    platform: Platform, search: Search, index: str, status: int, code: str
) -> None:
    destination = opened(platform, search.proxy.url, index, "ElasticsearchDestinationConfiguration")
    search.proxy.refusals = [status]
    with pytest.raises(Unavailable, match="said_by_proxy") as caught:
        destination.deliver(records('{"n": 0}'))
    assert caught.value.code == f"ES.{code}"
    assert destination.deliver(records('{"n": 0}')) == []
    destination.close()


def test_a_type_that_the_server_does_not_know(platform: Platform, search: Search, index: str) -> None:
    destination = opened(platform, search.server.url, index, TypeName="t")
    with pytest.raises(Unavailable, match=r"unknown parameter .*_type"):
        destination.deliver(records('{"n": 0}'))
    destination.close()


def test_a_server_that_is_down_gets_the_batch_when_it_is_back(platform: Platform, index: str) -> None:
    with reserved_port() as port:
        destination = opened(platform, f"http://127.0.0.1:{port}", index)
        with pytest.raises(Unavailable) as caught:
            destination.deliver(records('{"n": 0}'))
        assert caught.value.code == "OS.ServiceException"
        server = OsmemServer.start(addr=f"127.0.0.1:{port}", japanese=False)
        try:
            assert destination.deliver(records('{"n": 0}')) == []
            server.request("POST", "/_refresh")
            assert server.request("GET", f"/{index}/_count")["count"] == 1
        finally:
            ended(server)
        destination.close()


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"DomainARN": "arn:aws:es:us-east-1:000000000000:domain/logs"}, "as ClusterEndpoint"),
        ({"VpcConfiguration": {"SubnetIds": ["s"]}}, "has no VPCs"),
        ({"ClusterEndpoint": None}, "ClusterEndpoint '' must look like https://host:port"),
        ({"ClusterEndpoint": "https://u:secret@h:x"}, r"'https://\*\*\*@h:x' must look like"),
        ({"ClusterEndpoint": "https:h"}, "must look like"),
        ({"ClusterEndpoint": "https://h?a=b"}, "must look like"),
        ({"IndexName": "Orders"}, "'Orders' is no name of an index"),
        ({"IndexName": "a/../b"}, "is no name of an index"),
        ({"IndexName": "_all"}, "is no name of an index"),
    ],
)
def test_what_cannot_be_honoured_is_refused_at_once(changed: dict[str, Any], told: str) -> None:
    good = {"RoleARN": ROLE, "ClusterEndpoint": "https://u:secret@search.example:9200/base", "IndexName": "orders"}
    opensearch.check(good)
    with pytest.raises(AwsError, match=told) as caught:
        opensearch.check(good | changed)
    assert caught.value.code == "InvalidArgumentException"
    assert "secret" not in caught.value.message
