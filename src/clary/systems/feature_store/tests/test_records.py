"""Records through a client: what is put is got, by event time."""

from collections.abc import Callable
from typing import Any

from clary.systems.feature_store.tests.conftest import values


def got(runtime: Any, group: str, identifier: str, **options: Any) -> Any:
    return runtime.get_record(FeatureGroupName=group, RecordIdentifierValueAsString=identifier, **options).get("Record")


def test_a_record_is_got_as_it_was_put_unless_its_event_is_older(runtime: Any, group: Callable[..., str]) -> None:
    name = group()
    first = values(id="7", at="1600000000.5", count="3", share="0.10", name="caf\u00e9 \u2603")
    runtime.put_record(FeatureGroupName=name, Record=first)
    assert got(runtime, name, "7") == first
    assert got(runtime, name, "8") is None
    assert got(runtime, name, "7", FeatureNames=["name", "count"]) == [first[2], first[4]]
    runtime.put_record(FeatureGroupName=name, Record=values(id="7", at="1500000000", count="1"))
    assert got(runtime, name, "7") == first
    newer = values(id="7", at="1600000001", share="-1e-3")
    runtime.put_record(FeatureGroupName=name, Record=newer)
    assert got(runtime, name, "7") == newer
