"""Every operation answers whatever the model allows with an output the wire can carry, or with one of S3's errors."""

from collections.abc import Iterator
from contextlib import closing, suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.wire.strategies import params

from clary.kernel.core.errors import AwsError
from clary.kernel.core.settings import Settings
from clary.kernel.rooms import Platform, Registry
from clary.kernel.wire import service
from clary.kernel.wire.codecs import codec
from clary.support.s3 import reconcile

OPERATIONS = sorted(name for room, name in Registry(["clary.support.s3"]).handlers if room == "s3")
ACCOUNT = "000000000000"
# What lets a request get past the door and on to what is checked behind it.
KNOWN = {
    "Bucket": st.just("bucket"),
    "Key": st.sampled_from(["a", "b/c", "b/"]),
    "CopySource": st.sampled_from(["bucket/a", "/bucket/b/c?versionId=null", "bucket", "%"]),
    "PartNumber": st.integers(-1, 3),
    "StorageClass": st.sampled_from(["STANDARD", "GLACIER", "WARM"]),
    "Range": st.sampled_from(["bytes=0-0", "bytes=-5", "bytes=9-3", "bytes=-0", "pages=1-2"]),
    "MaxKeys": st.integers(-1, 3),
    "ContentMD5": st.sampled_from(["", "x", "é", "AAAAAAAAAAAAAAAAAAAAAA=="]),
}


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    home = tmp_path_factory.mktemp("home")
    with closing(Platform(Settings.load({}, home=str(home), ephemeral=True))) as opened:
        opened.objects.buckets.create("bucket", ACCOUNT, "us-east-1")
        yield opened
        assert {path.name for path in home.iterdir()} <= {"kv", "objects"}


@pytest.mark.parametrize("name", OPERATIONS)
@given(data=st.data())
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_request_is_answered(data: st.DataObject, platform: Platform, name: str) -> None:
    operation = service("s3").operations[name]
    assert operation.input is not None
    request: dict[str, Any] = data.draw(params(operation))
    for member, values in KNOWN.items():
        if member in operation.input.members and (member in operation.input.required or data.draw(st.booleans())):
            request[member] = data.draw(values)
    for member in ("ExpectedBucketOwner", "ExpectedSourceBucketOwner", "ContentLength"):
        request.pop(member, None)
    with suppress(AwsError):
        platform.objects.buckets.ensure("bucket", ACCOUNT, "us-east-1")
        platform.objects.put_bytes("bucket", "a", b"0123456789")
        ctx = platform.acting_as_root(ACCOUNT, "us-east-1", "s3", name)
        codec("rest-xml").serialize(operation, platform.registry.call(ctx, request), "request")
    reconcile.expire(platform, None)
