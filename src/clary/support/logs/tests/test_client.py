"""What a real client sees over a real socket: models, paginators, errors, the event stream."""

import time

import pytest

from clary.testing import eventually


@pytest.fixture
def logs(server):
    return server.client("logs")


@pytest.fixture
def group(logs, unique):
    name = unique("/tests/group")
    logs.create_log_group(logGroupName=name)
    logs.create_log_stream(logGroupName=name, logStreamName="s")
    yield name
    logs.delete_log_group(logGroupName=name)


def put(logs, group, *messages):
    now = int(time.time() * 1000)
    events = [{"timestamp": now, "message": message} for message in messages]
    return logs.put_log_events(logGroupName=group, logStreamName="s", logEvents=events)


def test_events_go_in_and_come_out_of_every_door(logs, group):
    put(logs, group, *(f"line {number}" for number in range(25)))
    get = {"logGroupName": group, "logStreamName": "s", "startFromHead": True}
    lines, token = [], None
    while True:
        page = logs.get_log_events(**get, limit=10, **({"nextToken": token} if token else {}))
        lines += [event["message"] for event in page["events"]]
        if page["nextForwardToken"] == token:
            break
        token = page["nextForwardToken"]
    assert lines == [f"line {number}" for number in range(25)]
    pages = logs.get_paginator("filter_log_events").paginate(
        logGroupName=group, filterPattern='"line 1"', PaginationConfig={"PageSize": 4}
    )
    found = [event["message"] for page in pages for event in page["events"]]
    assert found == ["line 1", *(f"line {number}" for number in range(10, 20))]
    streams = logs.get_paginator("describe_log_streams").paginate(logGroupName=group, orderBy="LastEventTime")
    assert [stream["logStreamName"] for page in streams for stream in page["logStreams"]] == ["s"]


def test_errors_are_modelled(logs, group):
    with pytest.raises(logs.exceptions.ResourceAlreadyExistsException):
        logs.create_log_group(logGroupName=group)
    with pytest.raises(logs.exceptions.ResourceNotFoundException, match="log stream does not exist"):
        logs.get_log_events(logGroupName=group, logStreamName="none")
    events = [{"timestamp": 2, "message": "b"}, {"timestamp": 1, "message": "a"}]
    with pytest.raises(logs.exceptions.InvalidParameterException, match="chronological"):
        logs.put_log_events(logGroupName=group, logStreamName="s", logEvents=events)


def test_a_live_tail_streams_what_comes_in_until_the_client_leaves(logs, group, server):
    put(logs, group, "before")
    arn = logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"][0]["logGroupArn"]
    stream = logs.start_live_tail(logGroupIdentifiers=[arn], logEventFilterPattern="-noise")["responseStream"]
    events = iter(stream)
    assert next(events)["sessionStart"]["logGroupIdentifiers"] == [arn]
    put(logs, group, "noise", "signal")
    results = []
    while not results:
        results = next(events)["sessionUpdate"]["sessionResults"]
    stream.close()
    assert [result["message"] for result in results] == ["signal"]
    access_log = server.home / "log" / "access.log"

    def has_ended():
        put(logs, group, "a moment")
        return "StartLiveTail" in access_log.read_text()  # written when the answer has ended

    eventually(has_ended)
