"""Log groups and streams: creating, listing, tagging, retention, deleting."""

import pytest

from clary.kernel.core.errors import AwsError


def refused(call, code, operation, message="", **params):
    with pytest.raises(AwsError) as caught:
        call(operation, **params)
    assert caught.value.code == code
    assert message in caught.value.message


def names(answer):
    return [group["logGroupName"] for group in answer["logGroups"]]


def stream_names(answer):
    return [stream["logStreamName"] for stream in answer["logStreams"]]


def test_a_group_is_created_described_and_deleted(call, clock):
    call("CreateLogGroup", logGroupName="/aws/a", tags={"team": "ml"})
    (group,) = call("DescribeLogGroups")["logGroups"]
    assert group == {
        "logGroupName": "/aws/a",
        "creationTime": int(clock.now() * 1000),
        "retentionInDays": None,
        "metricFilterCount": 0,
        "arn": "arn:aws:logs:eu-west-1:111122223333:log-group:/aws/a:*",
        "logGroupArn": "arn:aws:logs:eu-west-1:111122223333:log-group:/aws/a",
        "storedBytes": 0,
        "logGroupClass": "STANDARD",
        "deletionProtectionEnabled": False,
    }
    refused(call, "ResourceAlreadyExistsException", "CreateLogGroup", "already exists", logGroupName="/aws/a")
    call("DeleteLogGroup", logGroupName="/aws/a")
    refused(call, "ResourceNotFoundException", "DeleteLogGroup", "does not exist", logGroupName="/aws/a")


def test_a_protected_group_stays(call):
    call("CreateLogGroup", logGroupName="g", deletionProtectionEnabled=True)
    refused(call, "ValidationException", "DeleteLogGroup", "deletion protection", logGroupName="g")
    call("PutLogGroupDeletionProtection", logGroupIdentifier="g", deletionProtectionEnabled=False)
    call("DeleteLogGroup", logGroupName="g")


def test_groups_list_by_prefix_pattern_class_and_page(call):
    for name in ("/aws/a", "/aws/b", "/own/Case", "z"):
        call("CreateLogGroup", logGroupName=name)
    call("CreateLogGroup", logGroupName="rare", logGroupClass="INFREQUENT_ACCESS")
    assert names(call("DescribeLogGroups", logGroupNamePrefix="/aws/")) == ["/aws/a", "/aws/b"]
    assert names(call("DescribeLogGroups", logGroupNamePattern="case")) == ["/own/Case"]
    assert names(call("DescribeLogGroups", logGroupClass="INFREQUENT_ACCESS")) == ["rare"]
    arn = "arn:aws:logs:eu-west-1:111122223333:log-group:z"
    assert names(call("DescribeLogGroups", logGroupIdentifiers=["/aws/a", arn])) == ["/aws/a", "z"]
    first = call("DescribeLogGroups", limit=2)
    rest = call("DescribeLogGroups", nextToken=first["nextToken"])
    assert names(first) + names(rest) == ["/aws/a", "/aws/b", "/own/Case", "rare", "z"]
    assert rest["nextToken"] is None
    assert names(call("ListLogGroups", logGroupNamePattern="^/aws|Case")) == ["/aws/a", "/aws/b", "/own/Case"]
    refused(
        call, "InvalidParameterException", "DescribeLogGroups", logGroupNamePrefix="/aws", logGroupNamePattern="aws"
    )
    refused(call, "InvalidParameterException", "DescribeLogGroups", "nextToken", nextToken="no token")
    refused(call, "InvalidParameterException", "DescribeLogGroups", "linked", includeLinkedAccounts=True)


def test_streams_list_by_name_and_by_their_last_event(call, clock):
    call("CreateLogGroup", logGroupName="g")
    now = int(clock.now() * 1000)
    for number, name in enumerate(("job/c", "job/a", "other", "job/b")):
        call("CreateLogStream", logGroupName="g", logStreamName=name)
        event = {"timestamp": now - number, "message": "x"}
        call("PutLogEvents", logGroupName="g", logStreamName=name, logEvents=[event])
    assert stream_names(call("DescribeLogStreams", logGroupName="g")) == ["job/a", "job/b", "job/c", "other"]
    by_prefix = call("DescribeLogStreams", logGroupName="g", logStreamNamePrefix="job/", descending=True)
    assert stream_names(by_prefix) == ["job/c", "job/b", "job/a"]
    newest = call("DescribeLogStreams", logGroupName="g", orderBy="LastEventTime", descending=True, limit=3)
    assert stream_names(newest) == ["job/c", "job/a", "other"]
    rest = call(
        "DescribeLogStreams", logGroupName="g", orderBy="LastEventTime", descending=True, nextToken=newest["nextToken"]
    )
    assert stream_names(rest) == ["job/b"]
    stream = newest["logStreams"][0]
    assert stream["arn"] == "arn:aws:logs:eu-west-1:111122223333:log-group:g:log-stream:job/c"
    assert (stream["firstEventTimestamp"], stream["lastEventTimestamp"]) == (now, now)
    refused(
        call,
        "InvalidParameterException",
        "DescribeLogStreams",
        "Cannot order by LastEventTime",
        logGroupName="g",
        orderBy="LastEventTime",
        logStreamNamePrefix="j",
    )


def test_streams_are_missing_or_taken(call):
    refused(call, "ResourceNotFoundException", "CreateLogStream", logGroupName="g", logStreamName="s")
    call("CreateLogGroup", logGroupName="g")
    call("CreateLogStream", logGroupName="g", logStreamName="s")
    refused(call, "ResourceAlreadyExistsException", "CreateLogStream", logGroupName="g", logStreamName="s")
    call("DeleteLogStream", logGroupName="g", logStreamName="s")
    refused(call, "ResourceNotFoundException", "DeleteLogStream", logGroupName="g", logStreamName="s")
    refused(call, "InvalidParameterException", "DescribeLogStreams", "Specify either")
    refused(call, "InvalidParameterException", "DescribeLogStreams", "neither", logGroupIdentifier="arn:aws:s3:::b")
    elsewhere = "arn:aws:logs:eu-west-1:999999999999:log-group:g"
    refused(call, "ResourceNotFoundException", "DescribeLogStreams", logGroupIdentifier=elsewhere)


def test_tags_by_name_and_by_arn_are_the_same(call):
    call("CreateLogGroup", logGroupName="g", tags={"a": "1"})
    arn = "arn:aws:logs:eu-west-1:111122223333:log-group:g"
    call("TagLogGroup", logGroupName="g", tags={"b": "2"})
    call("TagResource", resourceArn=arn, tags={"a": "3"})
    assert call("ListTagsLogGroup", logGroupName="g") == {"tags": {"a": "3", "b": "2"}}
    call("UntagResource", resourceArn=arn, tagKeys=["b", "none"])
    assert call("ListTagsForResource", resourceArn=arn) == {"tags": {"a": "3"}}
    many = {str(number): "x" for number in range(50)}
    refused(call, "TooManyTagsException", "TagResource", resourceArn=arn, tags=many)
    refused(call, "InvalidParameterException", "TagLogGroup", "reserved", logGroupName="g", tags={"aws:x": "1"})
    refused(call, "ResourceNotFoundException", "ListTagsForResource", resourceArn=arn + "x")


def test_retention_is_one_of_the_documented_numbers_of_days(call):
    call("CreateLogGroup", logGroupName="g")
    call("PutRetentionPolicy", logGroupName="g", retentionInDays=7)
    assert call("DescribeLogGroups")["logGroups"][0]["retentionInDays"] == 7
    call("DeleteRetentionPolicy", logGroupName="g")
    assert call("DescribeLogGroups")["logGroups"][0]["retentionInDays"] is None
    refused(
        call, "InvalidParameterException", "PutRetentionPolicy", "enum value set", logGroupName="g", retentionInDays=6
    )
