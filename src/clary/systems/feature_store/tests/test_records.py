"""Records through a client: what is put is got, by event time; deletions, expiry, batches, and what is refused."""

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from clary.systems.feature_store.tests.conftest import values
from clary.testing import eventually

COLLECTIONS = [
    {"FeatureName": "id", "FeatureType": "Integral"},
    {"FeatureName": "at", "FeatureType": "String"},
    {"FeatureName": "tags", "FeatureType": "String", "CollectionType": "Set"},
    {"FeatureName": "recent", "FeatureType": "Integral", "CollectionType": "List"},
    {
        "FeatureName": "place",
        "FeatureType": "Fractional",
        "CollectionType": "Vector",
        "CollectionConfig": {"VectorConfig": {"Dimension": 2}},
    },
]


def got(runtime: Any, group: str, identifier: str, **options: Any) -> Any:
    return runtime.get_record(FeatureGroupName=group, RecordIdentifierValueAsString=identifier, **options).get("Record")


def refusal(call: Callable[..., Any], **params: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as refused:
        call(**params)
    error = refused.value.response["Error"]
    return error["Code"], error["Message"]


def test_a_record_is_got_as_it_was_put_unless_its_event_is_older(runtime: Any, group: Callable[..., str]) -> None:
    name = group()
    first = values(id="7", at="1600000000.5", count="3", share="0.10", name="caf\u00e9 \u2603")
    runtime.put_record(FeatureGroupName=name, Record=first)
    assert got(runtime, name, "7") == first
    assert got(runtime, name, "8") is None
    assert got(runtime, name, "7", FeatureNames=["name", "count"]) == [first[2], first[4]]
    assert got(runtime, name, "7", FeatureNames=["count"], ExpirationTimeResponse="Enabled") == [first[2]]
    for at in ("1500000000", "1600000000.5"):
        runtime.put_record(FeatureGroupName=name, Record=values(id="7", at=at, count="1"))
    assert got(runtime, name, "7") == first
    newer = values(id="7", at="1600000000.500000001", share="-1e-3")
    runtime.put_record(FeatureGroupName=name, Record=newer)
    assert got(runtime, name, "7") == newer


def test_a_soft_deletion_keeps_older_events_out_and_a_hard_one_forgets(runtime: Any, group: Callable[..., str]) -> None:
    name = group()
    about = {"FeatureGroupName": name, "RecordIdentifierValueAsString": "7"}
    runtime.put_record(FeatureGroupName=name, Record=values(id="7", at="100"))
    runtime.delete_record(**about, EventTime="99")
    assert got(runtime, name, "7")
    runtime.delete_record(**about, EventTime="101")
    assert got(runtime, name, "7") is None
    assert runtime.list_records(FeatureGroupName=name)["RecordIdentifiers"] == []
    assert runtime.list_records(FeatureGroupName=name, IncludeSoftDeletedRecords=True)["RecordIdentifiers"] == ["7"]
    runtime.put_record(FeatureGroupName=name, Record=values(id="7", at="100.5"))
    assert got(runtime, name, "7") is None
    code, message = refusal(runtime.delete_record, **about, EventTime="101", DeletionMode="HardDelete")
    assert (code, "later than" in message) == ("ValidationError", True)
    runtime.delete_record(**about, EventTime="102", DeletionMode="HardDelete")
    runtime.put_record(FeatureGroupName=name, Record=values(id="7", at="100.5"))
    assert got(runtime, name, "7")


def test_records_expire(sagemaker: Any, runtime: Any, group: Callable[..., str]) -> None:
    name = group(OnlineStoreConfig={"EnableOnlineStore": True, "TtlDuration": {"Unit": "Weeks", "Value": 10_000}})
    about = {"FeatureGroupName": name, "RecordIdentifierValueAsString": "7", "ExpirationTimeResponse": "Enabled"}
    runtime.put_record(FeatureGroupName=name, Record=values(id="7", at="0.5"))
    assert runtime.get_record(**about)["ExpiresAt"] == "2161-08-27T00:00:00.500Z"
    runtime.put_record(
        FeatureGroupName=name, Record=values(id="7", at="100"), TtlDuration={"Unit": "Days", "Value": 30}
    )
    assert "Record" not in runtime.get_record(**about)
    eventually(lambda: not sagemaker.describe_feature_group(FeatureGroupName=name)["OnlineStoreTotalSizeBytes"])
    runtime.put_record(FeatureGroupName=name, Record=values(id="7", at="50"))
    assert got(runtime, name, "7")


def test_batches_answer_for_each_record(runtime: Any, group: Callable[..., str]) -> None:
    name, other = group(), group()
    entries = [
        {"FeatureGroupName": name, "Record": values(id=str(number), at="1", count=str(number))} for number in range(20)
    ]
    wrong = {"FeatureGroupName": other, "Record": values(id="7", at="1", count="many")}
    answer = runtime.batch_write_record(Entries=[*entries, wrong, {**entries[3], "FeatureGroupName": other}])
    assert [each["Entry"] for each in answer["Errors"]] == [wrong]
    answer = runtime.batch_get_record(
        Identifiers=[
            {"FeatureGroupName": name, "RecordIdentifiersValueAsString": ["4", "99", "2"], "FeatureNames": ["count"]},
            {"FeatureGroupName": other, "RecordIdentifiersValueAsString": ["3"]},
            {"FeatureGroupName": "nowhere", "RecordIdentifiersValueAsString": ["3"]},
        ]
    )
    found = [(each["FeatureGroupName"], each["RecordIdentifierValueAsString"]) for each in answer["Records"]]
    assert found == [(name, "4"), (name, "2"), (other, "3")]
    assert answer["Records"][0]["Record"] == values(count="4")
    assert [each["ErrorCode"] for each in answer["Errors"]] == ["ResourceNotFound"]
    assert answer["UnprocessedIdentifiers"] == []
    listed: list[str] = []
    token: dict[str, str] = {}
    while not listed or token:
        page = runtime.list_records(FeatureGroupName=name, MaxResults=7, **token)
        listed += page["RecordIdentifiers"]
        token = {"NextToken": page["NextToken"]} if "NextToken" in page else {}
    assert sorted(listed, key=int) == [str(number) for number in range(20)]


def test_collections_and_updates_of_features(runtime: Any, group: Callable[..., str]) -> None:
    name = group(
        FeatureDefinitions=COLLECTIONS, OnlineStoreConfig={"EnableOnlineStore": True, "StorageType": "InMemory"}
    )
    first = values(id="7", at="2024-02-29T12:00:00Z", tags=["b", "a", "b"], recent=["2", "1", "2"], place=["1.5", "-2"])
    runtime.put_record(FeatureGroupName=name, Record=first)
    stored = values(id="7", at="2024-02-29T12:00:00Z", tags=["b", "a"], recent=["2", "1", "2"], place=["1.5", "-2"])
    assert got(runtime, name, "7") == stored
    about = {"FeatureGroupName": name, "RecordIdentifierValueAsString": "7"}
    runtime.update_record(**about, Features=values(recent=["9"]))
    runtime.update_record(**about, Features=values(at="2024-02-29T12:00:00.001Z", tags=[]))
    assert got(runtime, name, "7") == values(
        id="7", at="2024-02-29T12:00:00.001Z", tags=[], recent=["9"], place=["1.5", "-2"]
    )
    assert refusal(runtime.update_record, **about, Features=values(at="2024-02-29T12:00:00Z"))[0] == "ConflictException"
    about["RecordIdentifierValueAsString"] = "8"
    assert refusal(runtime.update_record, **about, Features=values(recent=["9"]))[0] == "ResourceNotFound"
    wrong = [
        values(id="7", at="2024-13-01T00:00:00Z"),
        values(id="7", at="2024-01-01 00:00:00"),
        values(id="seven", at="2024-01-01T00:00:00Z"),
        values(id="9223372036854775808", at="2024-01-01T00:00:00Z"),
        values(id="7", at="2024-01-01T00:00:00Z", place=["1"]),
        values(id="7", at="2024-01-01T00:00:00Z", recent="1"),
        values(id="7", at="2024-01-01T00:00:00Z", recent=["1", "x"]),
        values(id="7", at="2024-01-01T00:00:00Z", other="1"),
        values(id="7", at="2024-01-01T00:00:00Z") * 2,
        values(id="7"),
        values(at="2024-01-01T00:00:00Z"),
        [*values(id="7", at="2024-01-01T00:00:00Z"), {"FeatureName": "tags"}],
    ]
    for record in wrong:
        assert refusal(runtime.put_record, FeatureGroupName=name, Record=record)[0] == "ValidationError", record
    code, message = refusal(runtime.put_record, FeatureGroupName=name, Record=first, TargetStores=["OfflineStore"])
    assert (code, "OfflineStore" in message) == ("ValidationError", True)
    assert refusal(runtime.put_record, FeatureGroupName="nowhere", Record=first)[0] == "ResourceNotFound"
