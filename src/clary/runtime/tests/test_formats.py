"""Decoders: what they read, and what they say of what is wrong."""

import io
import struct

import numpy as np
import pyarrow
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from clary.runtime.formats import content_types
from clary.runtime.formats.csvtext import decode_csv
from clary.runtime.formats.decode import decode_table
from clary.runtime.formats.libsvm import decode_libsvm
from clary.runtime.formats.recordio import MAGIC, Tensor, decode_records, encode_record, encode_table, frame, frames
from clary.runtime.formats.table import FormatError


def test_csv_reads_missing_values_quotes_and_other_delimiters() -> None:
    np.testing.assert_array_equal(
        decode_csv(b'1,,"3"\r\n4,NaN,-6e-1\r\n'), np.float32([[1, np.nan, 3], [4, np.nan, -0.6]])
    )
    for delimiter in (b";", b"\t", b"|"):
        np.testing.assert_array_equal(decode_csv(b"1,2\n3,4".replace(b",", delimiter)), [[1, 2], [3, 4]])
    np.testing.assert_array_equal(decode_csv(b"\xef\xbb\xbf1\n2\n"), [[1], [2]])
    assert decode_csv(b"1,2").dtype == np.float32


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"age,price\n1,2\n", "f.csv, line 1, column 1: 'age' is not a number. CSV data must have no header"),
        (b"1,2\n3,x\n", "f.csv, line 2, column 2: 'x' is not a number"),
        (b"1,2\n\n3\n", "f.csv, line 3: has 1 columns where the first line has 2"),
        (b"1,2\n3,4,5\n", "f.csv, line 2: has 3 columns"),
        (b"  \n", "f.csv is empty"),
    ],
)
def test_csv_says_where_it_is_wrong(text: bytes, message: str) -> None:
    with pytest.raises(FormatError) as caught:
        decode_csv(text, "f.csv")
    assert message in str(caught.value)


def test_csv_takes_label_and_weight_from_the_first_columns() -> None:
    table = decode_table(content_types.CSV, b"1,0.5,7,8\n0,2,9,10\n", labelled=True, weighted=True)
    assert table.labels is not None
    assert table.weights is not None
    assert (table.labels.tolist(), table.weights.tolist()) == ([1, 0], [0.5, 2])
    assert table.features.tolist() == [[7, 8], [9, 10]]
    with pytest.raises(FormatError, match="expected a label and features"):
        decode_table(content_types.CSV, b"1\n2\n", labelled=True)


def test_libsvm_reads_labels_weights_groups_and_comments() -> None:
    table = decode_libsvm(b"1:0.5 qid:1 0:2 3:4.5 # first\n\n0:2 qid:1 1:-1\n", labelled=True)
    assert table.labels is not None
    assert table.weights is not None
    assert table.groups is not None
    assert (table.labels.tolist(), table.weights.tolist(), table.groups.tolist()) == ([1, 0], [0.5, 2], [1, 1])
    assert table.features.toarray().tolist() == [[2, 0, 0, 4.5], [0, -1, 0, 0]]


def test_libsvm_requests_may_leave_the_label_out() -> None:
    assert decode_libsvm(b"0:1 2:3\n1:5").features.toarray().tolist() == [[1, 0, 3], [0, 5, 0]]
    labelled = decode_libsvm(b"1 0:1 2:3")
    assert labelled.features.toarray().tolist() == [[1, 0, 3]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"1 0:1\nyes 0:2", "line 2: 'yes' is not a number"),
        (b"1 0:1\n0 a:2", "line 2: 'a:2' is not `index:value`"),
        (b"1 0:1 2\n", "line 1: '2' is not `index:value`"),
        (b"1 0:1 -1:2\n", "line 1: '-1:2' is not `index:value`"),
        (b"1:2 0:1\n0 0:1\n", "line 2: a weight or qid is missing"),
        (b"\n", "is empty"),
    ],
)
def test_libsvm_says_where_it_is_wrong(text: bytes, message: str) -> None:
    with pytest.raises(FormatError) as caught:
        decode_libsvm(text, "f", labelled=True)
    assert message in str(caught.value)


def test_parquet_reads_numbers_and_nulls_and_names_the_column_that_is_neither() -> None:
    def written(**columns: object) -> bytes:
        sink = io.BytesIO()
        parquet.write_table(pyarrow.table(columns), sink)
        return sink.getvalue()

    table = decode_table(
        content_types.PARQUET, written(y=[1, 0], a=[0.5, None], b=pyarrow.array([True, False])), labelled=True
    )
    np.testing.assert_array_equal(table.features, np.float32([[0.5, 1], [np.nan, 0]]))
    with pytest.raises(FormatError, match="column 'city' is string"):
        decode_table(content_types.PARQUET, written(y=[1], city=["Rome"]), labelled=True)
    with pytest.raises(FormatError, match="not a parquet file"):
        decode_table(content_types.PARQUET, b"PAR1", labelled=True)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32])
def test_recordio_round_trips_dense_rows(dtype: type) -> None:
    features = np.array([[1, -2, 3], [4, 5, -6]], dtype=dtype)
    table = decode_records(encode_table(features, np.float32([1, 0])))
    assert table.labels is not None
    np.testing.assert_array_equal(table.features, features)
    assert table.labels.tolist() == [1, 0]
    assert decode_records(encode_table(features)).labels is None


def test_recordio_round_trips_sparse_rows_with_an_empty_one() -> None:
    features = scipy.sparse.csr_matrix(np.float32([[0, 2, 0, 0], [0, 0, 0, 0], [1, 0, 0, 300]]))
    table = decode_records(encode_table(features, np.float32([1, 2, 3])))
    assert table.is_sparse
    assert table.features.toarray().tolist() == features.toarray().tolist()


def test_recordio_joins_records_that_were_split() -> None:
    payload = encode_record({"values": Tensor(np.float32([1, 2, 3]))}, {})
    parts = (payload[:5], payload[5:9], payload[9:])
    magic = struct.pack("<I", MAGIC)
    whole = parts[0] + magic + parts[1] + magic + parts[2]
    stream = b""
    for flag, part in zip((1, 2, 3), parts, strict=True):
        stream += struct.pack("<II", MAGIC, flag << 29 | len(part)) + part + b"\0" * (-len(part) % 4)
    assert [bytes(record) for record in frames(stream + frame(b"next"))] == [whole, b"next"]


def sparse_record(key: int = 0, shape: tuple[int, ...] = (1,)) -> bytes:
    return frame(encode_record({"values": Tensor(np.float32([1]), np.array([key], dtype=np.uint64), shape)}, {}))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"not recordio", "record 1: not recordio-protobuf: the record begins with"),
        (encode_table(np.float32([[1, 2]]))[:-6], "ends inside a record"),
        (frame(b"\xff\xff"), "an integer is cut off"),
        (encode_table(np.float32([[1, 2]])) + encode_table(np.float32([[1]])), "record 2: has 1 features"),
        (frame(encode_record({"a": Tensor(np.float32([1])), "b": Tensor(np.float32([1]))}, {})), "there are: a, b"),
        (sparse_record(shape=(2**40, 2**40)), "record 1: has 1208925819614629174706176 features"),
        (sparse_record(key=2**63), "features, more than"),
        (b"", "is empty"),
    ],
)
def test_recordio_says_what_is_wrong(data: bytes, message: str) -> None:
    with pytest.raises(FormatError) as caught:
        decode_records(data, "f")
    assert message in str(caught.value)


def test_content_types_know_their_other_names() -> None:
    assert content_types.canonical("Text/CSV; charset=utf8") == content_types.CSV
    assert content_types.canonical("text/x-libsvm") == content_types.LIBSVM
    assert content_types.canonical("image/png") is None


VALID = [
    b"1,2.5,\n0,-3e2,7\n",
    b"1:0.5 qid:1 0:2 3:4.5\n0:1 qid:2 1:1\n",
    encode_table(np.float32([[1, 2], [3, 4]]), np.float32([1, 0])),
    encode_table(scipy.sparse.csr_matrix(np.float32([[0, 2], [1, 0]])), np.float32([1, 0])),
]


@given(
    st.sampled_from([content_types.CSV, content_types.LIBSVM, content_types.RECORDIO, content_types.PARQUET]),
    st.sampled_from([*VALID, b""]),
    st.binary(max_size=12),
    st.integers(0, 80),
    st.integers(0, 8),
    st.booleans(),
)
@settings(max_examples=600, deadline=None)
def test_hostile_bytes_are_refused_or_read_but_never_a_fault(
    content_type: str, data: bytes, noise: bytes, at: int, cut: int, labelled: bool
) -> None:
    hostile = data[:at] + noise + data[at + cut :]
    try:
        table = decode_table(content_type, hostile, labelled=labelled)
    except FormatError:
        return
    assert table.features.dtype == np.float32
    assert table.labels is None or len(table.labels) == table.rows
