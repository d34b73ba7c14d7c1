"""What transforms are made of: paths, records, filters and joins."""

import json
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.runtime.errors import CustomerError
from clary.runtime.formats.recordio import frame
from clary.runtime.transform.jsonpath import NothingSelected, Path
from clary.runtime.transform.plan import UNLIMITED
from clary.runtime.transform.processing import Csv, Processing, format_of
from clary.runtime.transform.rows import picker
from clary.runtime.transform.splitting import SPLITTERS, Payload

DOCUMENT = {"id": 7, "f": {"x": 1, "y-z": [1, 2, 3]}, "list": [{"a": 1}, {"a": 2}], "it's": 0}


@pytest.mark.parametrize(
    ("path", "selected"),
    [
        ("$", DOCUMENT),
        ("$.id", 7),
        ("$['id']", 7),
        ("$.f.x", 1),
        ("$.f['y-z']", [1, 2, 3]),
        ("$.f.y-z[-1]", 3),
        ("$.f.['x','y-z']", {"x": 1, "y-z": [1, 2, 3]}),
        ("$['id','f']", {"id": 7, "f": DOCUMENT["f"]}),
        ("$.list[*].a", [1, 2]),
        ("$.list[0:1]", [{"a": 1}]),
        ("$.f.y-z[1:]", [2, 3]),
        ("$.f.y-z[:2]", [1, 2]),
        ("$.f.y-z[0, 2]", [1, 3]),
        ("$.f.y-z[0,1:]", [1, 2, 3]),
        ("$.list[-1, 0:1].a", [2, 1]),
        ("$.f.*", [1, [1, 2, 3]]),
        (r"$['it\'s']", 0),
    ],
)
def test_paths_select(path: str, selected: Any) -> None:
    assert Path(path).select(DOCUMENT) == selected


@pytest.mark.parametrize("path", ["", "id", "$.", "$..id", "$[", "$[?(@.a)]", "$['a'", "$[1:2:3]", "$.a b", "$ "])
def test_paths_outside_the_documented_part_are_refused(path: str) -> None:
    with pytest.raises(CustomerError, match="filter"):
        Path(path)


@pytest.mark.parametrize("path", ["$.gone", "$.id.x", "$.list[9]", "$.f[0]", "$['id','gone']"])
def test_a_path_that_leads_nowhere_says_so(path: str) -> None:
    with pytest.raises(NothingSelected, match="selects nothing"):
        Path(path).select(DOCUMENT)


@given(st.lists(st.integers(), max_size=8), st.integers(-9, 9), st.integers(-9, 9))
def test_indices_and_slices_are_those_of_python(values: list[int], start: int, end: int) -> None:
    assert Path(f"$[{start}:{end}]").select(values) == values[start:end]
    if -len(values) <= start < len(values):
        assert Path(f"$[{start}]").select(values) == values[start]


lines = st.lists(st.binary(max_size=12).map(lambda text: text.replace(b"\n", b" ")), max_size=30)


@given(lines, st.integers(12, 60), st.booleans(), st.booleans())
def test_lines_are_cut_into_payloads_that_hold_them_all(
    records: list[bytes], limit: int, single: bool, ends: bool
) -> None:
    data = b"\n".join(records) + (b"\n" if ends else b"")
    payloads = list(SPLITTERS["Line"].payloads(data, limit, single=single))
    real = data.split(b"\n")
    for payload in payloads:
        assert len(payload.body) <= limit
        assert payload.count == 1 or not single
        assert payload.body.split(b"\n") == real[payload.first - 1 : payload.first - 1 + payload.count]
    covered = {number for one in payloads for number in range(one.first, one.first + one.count)}
    assert all(line.isspace() or not line for number, line in enumerate(real, 1) if number not in covered)


def tf_frame(record: bytes) -> bytes:
    return struct.pack("<QI", len(record), 1) + record + struct.pack("<I", 2)


@given(st.lists(st.binary(max_size=20), max_size=12), st.integers(40, 120), st.booleans())
@pytest.mark.parametrize(("kind", "framed"), [("RecordIO", frame), ("TFRecord", tf_frame)])
def test_framed_records_stay_whole(kind: str, framed: Any, records: list[bytes], limit: int, single: bool) -> None:
    frames = [framed(record) for record in records]
    payloads = list(SPLITTERS[kind].payloads(b"".join(frames), limit, single=single))
    if single:
        assert [one.body for one in payloads] == records, "without their frames"
        assert [(one.first, one.count) for one in payloads] == [(number, 1) for number in range(1, len(records) + 1)]
        return
    assert b"".join(one.body for one in payloads) == b"".join(frames)
    for one in payloads:
        assert len(one.body) <= limit
        assert one.body == b"".join(frames[one.first - 1 : one.first - 1 + one.count])


def test_a_record_in_several_frames_is_one() -> None:
    magic = struct.pack("<I", 0xCED7230A)
    parts = [magic + struct.pack("<I", flag << 29 | 4) + b"abcd" for flag in (1, 2, 3)]
    data = b"".join(parts) + frame(b"x")
    [first, second] = SPLITTERS["RecordIO"].payloads(data, UNLIMITED, single=True)
    assert (first.body, second.body, second.first) == (magic.join([b"abcd"] * 3), b"x", 2)
    [both] = SPLITTERS["RecordIO"].payloads(data, UNLIMITED, single=False)
    assert (both.body, both.count) == (data, 2)


@given(st.lists(st.binary(min_size=1, max_size=5).map(lambda text: text.replace(b"\n", b"-")), min_size=2, max_size=20))
@pytest.mark.parametrize("kind", ["Line", "RecordIO", "TFRecord"])
def test_halves_together_are_the_payload(kind: str, records: list[bytes]) -> None:
    joined = (
        b"\n".join(records) if kind == "Line" else b"".join(map(frame if kind == "RecordIO" else tf_frame, records))
    )
    halves = SPLITTERS[kind].halves(Payload(joined, 5, len(records)))
    assert halves is not None
    left, right = halves
    assert (left.first, left.count + right.count, right.first) == (5, len(records), 5 + left.count)
    assert min(left.count, right.count) >= 1
    assert (b"\n" if kind == "Line" else b"").join([left.body, right.body]) == joined


@pytest.mark.parametrize(
    ("kind", "data", "said"),
    [
        ("None", b"x" * 11, "the object has 11 bytes, more than MaxPayloadInMB allows"),
        ("Line", b"a\n" + b"x" * 11 + b"\nb", "line 2 has 11 bytes"),
        ("RecordIO", frame(b"x" * 20), "record 1 has 28 bytes"),
        ("RecordIO", b"no frame", "record 1 is not RecordIO"),
        ("TFRecord", b"\xff" * 16, "record 1 is not TFRecord"),
        ("TFRecord", b"\x00", "record 1 is not TFRecord"),
    ],
)
def test_records_that_do_not_fit_or_are_none_are_named(kind: str, data: bytes, said: str) -> None:
    with pytest.raises(CustomerError, match=said):
        list(SPLITTERS[kind].payloads(data, 10, single=False))


def processing(content_type: str, *, accept: str = "", split: bool = True, **how: Any) -> Processing:
    return Processing(
        input_format=format_of(content_type, split=split),
        output_format=format_of(accept or content_type, split=split),
        **how,
    )


INDICES = st.integers(-5, 5).map(str) | st.tuples(st.integers(-5, 5) | st.none(), st.integers(-5, 5) | st.none()).map(
    lambda ends: ":".join("" if end is None else str(end) for end in ends)
)


@given(
    st.lists(st.sampled_from([b"", b"a", b" b", b"1.50"]), min_size=1, max_size=6).map(b",".join),
    st.lists(INDICES, max_size=3).map(lambda parts: f"$[{','.join(parts)}]" if parts else "$") | st.just("$[*]"),
)
def test_rows_without_quotes_are_picked_from_as_others_are(row: bytes, text: str) -> None:
    path = Path(text)
    try:
        slowly = Csv().write(path.select(Csv().read(row)))
    except NothingSelected:
        with pytest.raises(NothingSelected):
            picker(path)(row)
    else:
        assert picker(path)(row) == slowly


def test_csv_is_filtered_and_joined_with_its_text_kept() -> None:
    found = processing("text/csv", input_filter="$[1:]", join=True, output_filter="$[0,-1]")
    rows = b'id-1,1.50,"a,b"\n\r\n"x ""y""",2,c\r\n'
    assert found.request(rows) == b'1.50,"a,b"\n2,c'
    assert found.result(rows, b"0.1\n0.2\n") == b'id-1,0.1\n"x ""y""",0.2\n'


def test_json_lines_are_joined_as_documented() -> None:
    found = processing("application/jsonlines", input_filter="$.features", join=True)
    body = b'{"id":1,"features":[1,2]}\n{"id":2,"features":[3,4]}'
    assert found.request(body) == b"[1,2]\n[3,4]"
    assert found.result(body, b'{"score":1}\n{"score":2}\n').splitlines() == [
        b'{"id":1,"features":[1,2],"SageMakerOutput":{"score":1}}',
        b'{"id":2,"features":[3,4],"SageMakerOutput":{"score":2}}',
    ]


def test_a_json_object_is_one_record_and_what_is_no_object_gets_a_name() -> None:
    found = processing(
        "application/json", split=False, join=True, output_filter="$['SageMakerInput','SageMakerOutput']"
    )
    assert json.loads(found.result(b"[1,\n2]", b"[0.5]")) == {"SageMakerInput": [1, 2], "SageMakerOutput": [0.5]}


def test_answers_that_do_not_match_are_not_joined() -> None:
    with pytest.raises(CustomerError, match="answered 1 records for 2"):
        processing("text/csv", join=True).result(b"1\n2", b"0.5,0.6")


def test_unknown_formats_pass_untouched_but_cannot_be_filtered() -> None:
    assert Processing().result(b"in", b"\x00answer") == b"\x00answer"
    with pytest.raises(CustomerError, match="ContentType"):
        Processing(input_filter="$[0]")


@given(st.lists(st.text("ab \"',;", max_size=6), min_size=1, max_size=6))
def test_fields_of_csv_survive(fields: list[str]) -> None:
    quoted = [b'"' + field.replace('"', '""').encode() + b'"' for field in fields]
    assert Csv().read(b",".join(quoted)) == quoted
    plain = [field.replace('"', "").replace(",", "").encode() for field in fields]
    assert Csv().read(b",".join(plain)) == plain
