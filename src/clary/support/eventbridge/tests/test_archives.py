"""Archives keep a bus's events, and replays bring them back to it."""

import json

import pytest

from clary.kernel.core.errors import AwsError
from clary.support.eventbridge.reconcile import expire_archives, replay

BUS = "arn:aws:events:eu-west-1:111122223333:event-bus/default"
ARCHIVE = "arn:aws:events:eu-west-1:111122223333:archive/kept"


@pytest.fixture
def replayed(call, platform, clock):
    """`replayed("again")`: the replay of everything, once it has ended."""

    def run(name, **destination):
        call(
            "StartReplay",
            ReplayName=name,
            EventSourceArn=ARCHIVE,
            EventStartTime=clock.now() - 3600,
            EventEndTime=clock.now() + 3600,
            Destination={"Arn": BUS, **destination},
        )
        replay(platform, f"111122223333/eu-west-1/{name}")
        return call("DescribeReplay", ReplayName=name)

    return run


def test_what_was_kept_comes_again(call, queue, put, delivered, replayed):
    pattern = '{"source": ["shop"], "detail": {"n": [{"numeric": [">", 0]}]}}'
    call("CreateArchive", ArchiveName="kept", EventSourceArn=BUS, EventPattern=pattern)
    with pytest.raises(AwsError, match="already exists"):
        call("CreateArchive", ArchiveName="kept", EventSourceArn=BUS)
    ids = [put({"n": number}) for number in range(250)][1:]
    described = call("DescribeArchive", ArchiveName="kept")
    assert (described["EventCount"], described["State"]) == (249, "ENABLED")
    assert described["SizeBytes"] > 249 * 100
    arn, url = queue("late")
    call("PutRule", Name="late", EventPattern='{"source": ["shop"]}')
    call("PutTargets", Rule="late", Targets=[{"Id": "q", "Arn": arn}])
    assert replayed("again")["State"] == "COMPLETED"
    come = []
    while found := delivered(url):
        come += map(json.loads, found)
    assert [event["id"] for event in come] == ids
    assert {event["replay-name"] for event in come} == {"again"}
    assert call("DescribeArchive", ArchiveName="kept")["EventCount"] == 249
    other = "arn:aws:events:eu-west-1:111122223333:rule/other"
    assert replayed("for-others", FilterArns=[other])["State"] == "COMPLETED"
    assert delivered(url) == []
    with pytest.raises(AwsError, match="IllegalStatus"):
        call("CancelReplay", ReplayName="again")
    assert [each["ReplayName"] for each in call("ListReplays")["Replays"]] == ["again", "for-others"]


def test_archives_end(call, put, platform, clock):
    call("CreateArchive", ArchiveName="kept", EventSourceArn=BUS, RetentionDays=1)
    put({})
    clock.advance(2 * 86_400)
    put({})
    expire_archives(platform, None)
    assert [each["EventCount"] for each in call("ListArchives")["Archives"]] == [1]
    call("UpdateArchive", ArchiveName="kept", EventPattern='{"source": ["elsewhere"]}')
    put({})
    assert call("DescribeArchive", ArchiveName="kept")["EventCount"] == 1
    call("DeleteArchive", ArchiveName="kept")
    assert [*platform.kv("events").scan(b"a", b"b"), *platform.kv("events").scan(b"A", b"B")] == []
    with pytest.raises(AwsError, match="does not exist"):
        call("DescribeArchive", ArchiveName="kept")


def test_a_replay_goes_to_the_bus_of_its_archive(call, replayed):
    call("CreateEventBus", Name="other")
    call("CreateArchive", ArchiveName="kept", EventSourceArn=BUS)
    with pytest.raises(AwsError, match="Cross event bus"):
        replayed("x", Arn=BUS.replace("default", "other"))
    with pytest.raises(AwsError, match="before EventEndTime"):
        call(
            "StartReplay",
            ReplayName="x",
            EventSourceArn=ARCHIVE,
            EventStartTime=2,
            EventEndTime=1,
            Destination={"Arn": BUS},
        )
