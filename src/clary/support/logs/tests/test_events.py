"""Log events: putting, getting, filtering, tailing."""

import pytest

from clary.kernel.core.errors import AwsError
from clary.support.logs.api.live_tail import Tail
from clary.support.logs.patterns import compile_pattern

DAY = 24 * 3600 * 1000
HOUR = 3600 * 1000


@pytest.fixture
def now(clock):
    return int(clock.now() * 1000)


@pytest.fixture
def group(call):
    call("CreateLogGroup", logGroupName="g")
    for name in ("s", "t"):
        call("CreateLogStream", logGroupName="g", logStreamName=name)
    return "g"


@pytest.fixture
def put(call, group):
    def put(stream, *events):
        batch = [{"timestamp": timestamp, "message": message} for timestamp, message in events]
        return call("PutLogEvents", logGroupName=group, logStreamName=stream, logEvents=batch)

    return put


def messages(answer):
    return [event["message"] for event in answer["events"]]


def refused(code, text, call, *args, **params):
    with pytest.raises(AwsError) as caught:
        call(*args, **params)
    assert caught.value.code == code
    assert text in caught.value.message


def test_a_client_pages_to_the_end_and_learns_it_by_the_token(call, put, now):
    put("s", *((now + number, str(number)) for number in range(5)))
    get = {"logGroupName": "g", "logStreamName": "s"}
    first = call("GetLogEvents", **get, startFromHead=True, limit=3)
    second = call("GetLogEvents", **get, startFromHead=True, limit=3, nextToken=first["nextForwardToken"])
    third = call("GetLogEvents", **get, startFromHead=True, limit=3, nextToken=second["nextForwardToken"])
    assert [messages(page) for page in (first, second, third)] == [["0", "1", "2"], ["3", "4"], []]
    assert third["nextForwardToken"] == second["nextForwardToken"] != first["nextForwardToken"]
    put("s", (now + 5, "5"))
    assert messages(call("GetLogEvents", **get, nextToken=third["nextForwardToken"])) == ["5"]


def test_a_client_pages_from_the_tail_backward(call, put, now):
    put("s", *((now + number, str(number)) for number in range(5)))
    get = {"logGroupName": "g", "logStreamName": "s"}
    last = call("GetLogEvents", **get, limit=2)
    before = call("GetLogEvents", **get, limit=2, nextToken=last["nextBackwardToken"])
    rest = call("GetLogEvents", **get, limit=2, nextToken=before["nextBackwardToken"])
    end = call("GetLogEvents", **get, limit=2, nextToken=rest["nextBackwardToken"])
    assert [messages(page) for page in (last, before, rest, end)] == [["3", "4"], ["1", "2"], ["0"], []]
    assert end["nextBackwardToken"] == rest["nextBackwardToken"]


def test_time_ranges_hold_their_start_and_not_their_end(call, put, now):
    put("s", (now, "a"), (now + 1, "b"), (now + 2, "c"))
    get = {"logGroupName": "g", "logStreamName": "s", "startFromHead": True}
    assert messages(call("GetLogEvents", **get, startTime=now + 1, endTime=now + 2)) == ["b"]
    assert messages(call("FilterLogEvents", logGroupName="g", startTime=now + 1, endTime=now + 2)) == ["b", "c"]
    refused("InvalidParameterException", "startTime", call, "GetLogEvents", **get, startTime=2, endTime=1)
    refused("InvalidParameterException", "nextToken", call, "GetLogEvents", **get, nextToken="f/12")
    refused("InvalidParameterException", "nextToken", call, "GetLogEvents", **get, nextToken="x/" + "0" * 56 + "/s")


def test_events_too_old_or_too_new_are_named_and_the_rest_taken(call, put, now):
    assert put("s", (now, "x"))["rejectedLogEventsInfo"] is None
    old = put("s", (now - 15 * DAY, "old"), (now - 15 * DAY, "old"), (now - 14 * DAY, "kept"))
    assert old["rejectedLogEventsInfo"] == {"tooOldLogEventEndIndex": 2}
    new = put("s", (now, "kept too"), (now + 3 * HOUR, "new"))
    assert new["rejectedLogEventsInfo"] == {"tooNewLogEventStartIndex": 1}
    call("PutRetentionPolicy", logGroupName="g", retentionInDays=1)
    expired = put("s", (now - DAY - HOUR, "expired"), (now - DAY, "in time"))
    assert expired["rejectedLogEventsInfo"] == {"expiredLogEventEndIndex": 1}
    assert messages(call("GetLogEvents", logGroupName="g", logStreamName="s")) == ["in time", "x", "kept too"]


def test_a_batch_is_in_order_spans_a_day_and_is_not_too_large(put, call, now):
    refused("InvalidParameterException", "chronological order", put, "s", (now, "a"), (now - 1, "b"))
    refused("InvalidParameterException", "24 hours", put, "s", (now - DAY - 1, "a"), (now, "b"))
    refused("InvalidParameterException", "Upload too large", put, "s", *((now, "x" * 100_000) for _ in range(11)))
    refused("InvalidParameterException", "logEvents", put, "s", *((now, "x") for _ in range(10_001)))
    refused("ResourceNotFoundException", "log stream", put, "none", (now, "x"))
    one = [{"timestamp": now, "message": "x"}]
    refused(
        "ResourceNotFoundException",
        "log group",
        call,
        "PutLogEvents",
        logGroupName="none",
        logStreamName="s",
        logEvents=one,
    )


def test_filtering_merges_streams_in_time_order_and_pages(call, put, now):
    for number in range(10):
        put("st"[number % 2], (now + number, f"{'ERROR' if number % 3 else 'fine'} {number}"))
    found = call("FilterLogEvents", logGroupName="g", filterPattern="ERROR")
    assert messages(found) == [f"ERROR {number}" for number in range(10) if number % 3]
    assert len({event["eventId"] for event in found["events"]}) == 6
    assert found["events"][0] == {
        "logStreamName": "t",
        "timestamp": now + 1,
        "message": "ERROR 1",
        "ingestionTime": now,
        "eventId": found["events"][0]["eventId"],
    }
    paged, token = [], None
    while True:
        params = {"nextToken": token} if token else {}
        page = call("FilterLogEvents", logGroupName="g", filterPattern="ERROR", limit=2, **params)
        paged += messages(page)
        token = page["nextToken"]
        if token is None:
            break
    assert paged == messages(found)
    newest = call("FilterLogEvents", logGroupName="g", startFromHead=False, limit=3)
    assert messages(newest) == ["fine 9", "ERROR 8", "ERROR 7"]
    older = call("FilterLogEvents", logGroupName="g", limit=2, nextToken=newest["nextToken"])
    assert messages(older) == ["fine 6", "ERROR 5"]


def test_filtering_chooses_streams(call, put, now):
    put("s", (now, "in s"))
    put("t", (now, "in t"))
    assert messages(call("FilterLogEvents", logGroupName="g", logStreamNames=["t"])) == ["in t"]
    assert messages(call("FilterLogEvents", logGroupName="g", logStreamNamePrefix="s")) == ["in s"]
    both = {"logStreamNames": ["s"], "logStreamNamePrefix": "s"}
    refused("InvalidParameterException", "not both", call, "FilterLogEvents", logGroupName="g", **both)
    refused("ResourceNotFoundException", "stream", call, "FilterLogEvents", logGroupName="g", logStreamNames=["none"])
    refused("InvalidParameterException", "a:b", call, "FilterLogEvents", logGroupName="g", filterPattern="a:b")


def test_a_tail_gives_what_comes_in_from_then_on(platform, put, now):
    put("s", (now, "before"))
    group = platform.logs.get_group("111122223333", "eu-west-1", "g")
    tail = Tail(platform.logs, {"g": group}, compile_pattern("-noise"))
    of_t = Tail(platform.logs, {"g": group}, compile_pattern(""), prefixes=("t",))
    assert tail.poll() == []
    put("s", (now - HOUR, "late"), (now, "noise"))
    put("t", (now, "other"))
    assert [result["message"] for result in tail.poll()] == ["late", "other"]
    assert tail.poll() == []
    assert [(result["logStreamName"], result["message"]) for result in of_t.poll()] == [("t", "other")]
