"""Data capture: the layout of lines and keys, and a writer that holds nobody up."""

import json
import threading
from base64 import b64encode
from dataclasses import replace
from typing import Any

import pytest

from clary.kernel.auth.directory import Directory
from clary.kernel.auth.records import Role
from clary.kernel.core.clock import SystemClock, VirtualClock
from clary.kernel.rooms import Platform
from clary.kernel.serving import capture_writer
from clary.kernel.serving.capture import Captured, file_of, line_of
from clary.kernel.serving.capture_writer import CaptureWriter
from clary.kernel.serving.requests import CUSTOM_ATTRIBUTES, INFERENCE_ID, heading
from clary.kernel.serving.routes import Capture

ACCOUNT, REGION, BUCKET = "000000000000", "us-east-1", "captured"
RULES = Capture(f"s3://{BUCKET}/deep/prefix/", 100, csv_types=["text/csv"], json_types=["application/json"])
AT = 1_641_920_439.25  # 2022-01-11T17:00:39.250Z


def captured(body: bytes = b"1,2", kind: str | None = "text/csv", **changes: Any) -> Captured:
    said = heading(kind, {CUSTOM_ATTRIBUTES: "trace=1", INFERENCE_ID: "mine"})
    made = Captured(
        ACCOUNT, REGION, "e", "v", "", RULES, "event", AT, said, body, "application/json; charset=utf-8", b"[3]"
    )
    return made._replace(**changes)


def test_a_line_is_as_aws_writes_it() -> None:
    assert json.loads(line_of(captured())) == {
        "captureData": {
            "endpointInput": {"observedContentType": "text/csv", "mode": "INPUT", "data": "1,2", "encoding": "CSV"},
            "endpointOutput": {
                "observedContentType": "application/json; charset=utf-8",
                "mode": "OUTPUT",
                "data": "[3]",
                "encoding": "JSON",
            },
        },
        "eventMetadata": {
            "eventId": "event",
            "customAttributes": ["trace=1"],
            "inferenceId": "mine",
            "inferenceTime": "2022-01-11T17:00:39Z",
        },
        "eventVersion": "0",
    }
    assert line_of(captured()).count(b"\n") == 1


@pytest.mark.parametrize("kind", ["text/csv", "image/png", None])
def test_what_is_not_text_is_kept_as_base64(kind: str | None) -> None:
    side = json.loads(line_of(captured(b"\xff\x00\n", kind)))["captureData"]["endpointInput"]
    assert (side["encoding"], side["data"]) == ("BASE64", b64encode(b"\xff\x00\n").decode())
    assert side["observedContentType"] == (kind or "application/octet-stream")


def test_only_the_side_that_is_asked_for_is_kept() -> None:
    rules = replace(RULES, outputs=False)
    assert list(json.loads(line_of(captured(rules=rules)))["captureData"]) == ["endpointInput"]


def test_a_key_names_endpoint_variant_and_hour() -> None:
    bucket, key = file_of(captured())
    assert bucket == BUCKET
    assert key.startswith("deep/prefix/e/v/2022/01/11/17/00-39-250-")
    assert key.endswith(".jsonl")
    assert file_of(captured(rules=replace(RULES, destination="s3://other")))[1].startswith("e/v/2022/")


class Written:
    """A writer over a bucket, and what it complains of."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.complaints: list[str] = []
        platform.objects.buckets.ensure(BUCKET, ACCOUNT, REGION)
        # Its clock stands still, so that it writes when it is full, or closed.
        self.writer = CaptureWriter(
            platform.objects, platform.settings.home, VirtualClock(), lambda _, text: self.complaints.append(text)
        )

    def files(self) -> dict[str, list[Any]]:
        objects = self.platform.objects
        return {
            found.key: [json.loads(line) for line in objects.local_path(BUCKET, found.key).read_bytes().splitlines()]
            for found in objects.list(BUCKET)
        }


def test_each_variant_and_hour_has_files_of_its_own(platform: Platform) -> None:
    written = Written(platform)
    for number in range(3):
        assert written.writer.keep(captured(event_id=str(number)))
    written.writer.keep(captured(variant="shadow"))
    written.writer.keep(captured(at=AT + 3600))
    written.writer.close()
    files = written.files()
    assert [key.rpartition("/")[0] for key in files] == [
        "deep/prefix/e/shadow/2022/01/11/17",
        "deep/prefix/e/v/2022/01/11/17",
        "deep/prefix/e/v/2022/01/11/18",
    ]
    assert [line["eventMetadata"]["eventId"] for line in list(files.values())[1]] == ["0", "1", "2"]
    assert not written.writer.keep(captured()), "nobody would write it any more"
    assert written.complaints == []


def test_what_does_not_fit_into_memory_is_dropped_and_said(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture_writer, "MOST_WAITING_BYTES", 100_000)
    written = Written(platform)
    taken = [written.writer.keep(captured(b"x" * 30_000)) for _ in range(5)]
    assert taken == [True, True, True, False, False]
    written.writer.close()
    assert sum(len(lines) for lines in written.files().values()) == 3
    assert written.complaints == ["2 requests were not captured: more came than could be written in time."]


@pytest.mark.parametrize("allowed", [True, False])
def test_the_rights_of_the_role_count(platform: Platform, allowed: bool) -> None:
    resource = f"arn:aws:s3:::{BUCKET}/deep/prefix/*" if allowed else "arn:aws:s3:::another/*"
    policy = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "s3:PutObject", "Resource": resource}],
    }
    role = Role(path="/", unique_id="AROA", trust="{}", inline={"own": json.dumps(policy)})
    Directory(platform.store, platform.clock).roles(ACCOUNT).create("writer", role)
    written = Written(platform)
    written.writer.keep(captured(role=f"arn:aws:iam::{ACCOUNT}:role/writer"))
    written.writer.close()
    assert len(written.files()) == allowed
    assert [text.partition(":")[0] for text in written.complaints] == (
        [] if allowed else ["1 request was not captured. AccessDeniedException"]
    )


def test_a_place_that_is_not_there_ends_no_other(platform: Platform) -> None:
    written = Written(platform)
    written.writer.keep(captured(endpoint="lost", rules=replace(RULES, destination="s3://missing/x")))
    written.writer.keep(captured())
    written.writer.close()
    assert len(written.files()) == 1
    assert "NoSuchBucket" in written.complaints[0]


def test_a_full_writer_does_not_wait(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture_writer, "_WRITE_AT_BYTES", 10_000)
    written, pause = Written(platform), threading.Event()
    written.writer.keep(captured(b"x" * 20_000))
    while not written.files():
        SystemClock().wait(pause, 0.01)
    written.writer.close()
