"""Delivery streams of a user, and what they deliver."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from clary.testing import Server, eventually

ROLE = "arn:aws:iam::000000000000:role/Anything"


@dataclass
class Client:
    """What a user has: boto3, names that nobody else uses, and a bucket."""

    server: Server
    unique: Callable[[str], str]
    made: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.firehose = self.server.client("firehose")
        self.s3 = self.server.client("s3")
        self.bucket = self.unique("bucket")
        self.s3.create_bucket(Bucket=self.bucket)

    def part(self, **members: Any) -> dict[str, Any]:
        """An S3 configuration with a buffer of no time."""
        hints = {"SizeInMBs": 1, "IntervalInSeconds": 0}
        return {
            "RoleARN": ROLE,
            "BucketARN": f"arn:aws:s3:::{self.bucket}",
            "BufferingHints": hints,
            **members,
        }

    def create(self, configuration: dict[str, Any] | None = None, **members: Any) -> str:
        """An active delivery stream, to S3 unless told otherwise."""
        name = self.unique("stream")
        if configuration is not None or not any(member.endswith("DestinationConfiguration") for member in members):
            members["ExtendedS3DestinationConfiguration"] = configuration or self.part()
        self.firehose.create_delivery_stream(DeliveryStreamName=name, **members)
        self.made.append(name)
        eventually(lambda: self.describe(name)["DeliveryStreamStatus"] == "ACTIVE")
        return name

    def describe(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.firehose.describe_delivery_stream(DeliveryStreamName=name)
        return found["DeliveryStreamDescription"]

    def put(self, name: str, records: list[bytes]) -> None:
        """Put records, 500 at most at once."""
        for start in range(0, len(records), 500):
            batch = [{"Data": data} for data in records[start : start + 500]]
            answer = self.firehose.put_record_batch(DeliveryStreamName=name, Records=batch)
            assert answer["FailedPutCount"] == 0

    def objects(self, prefix: str = "", bucket: str | None = None) -> dict[str, bytes]:
        """The objects below a prefix."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket or self.bucket, Prefix=prefix)
        keys = [entry["Key"] for page in pages for entry in page.get("Contents", ())]
        return {key: self.s3.get_object(Bucket=bucket or self.bucket, Key=key)["Body"].read() for key in sorted(keys)}

    def lines(self, prefix: str = "", read: Callable[[bytes], bytes] = bytes) -> list[bytes]:
        """The lines of the objects below a prefix, in order of their keys."""
        return [line for data in self.objects(prefix).values() for line in read(data).splitlines()]

    def delivered(self, count: int, prefix: str = "", read: Callable[[bytes], bytes] = bytes) -> list[bytes]:
        """The lines below a prefix once there are so many."""

        def look() -> list[bytes] | None:
            found = self.lines(prefix, read)
            return found if len(found) >= count else None

        found: list[bytes] = eventually(look)
        return found

    def delete_all(self) -> None:
        for name in self.made:
            try:
                self.firehose.delete_delivery_stream(DeliveryStreamName=name)
            except self.firehose.exceptions.ResourceNotFoundException:
                continue  # the test deleted it


@pytest.fixture
def client(server: Server, unique: Callable[[str], str]):
    made = Client(server, unique)
    yield made
    made.delete_all()
