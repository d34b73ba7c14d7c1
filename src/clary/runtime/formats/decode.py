"""Bytes of a known content type to a Table, for training data and for requests alike."""

from clary.runtime.formats import content_types
from clary.runtime.formats.table import Floats, FormatError, Table

TABULAR = (content_types.CSV, content_types.LIBSVM, content_types.PARQUET, content_types.RECORDIO)


def decode_table(
    content_type: str, data: bytes, *, name: str = "the request body", labelled: bool, weighted: bool = False
) -> Table:
    """Decode `data` of a canonical `content_type`.

    `labelled`: dense text and parquet carry the label in the first column, and if `weighted` the weight in the second.
    libsvm then begins with a label (and perhaps its weight), else may; recordio names its labels. Raises FormatError.
    """
    if content_type == content_types.CSV:
        from clary.runtime.formats.csvtext import decode_csv

        return _split(decode_csv(data, name), name, labelled, weighted)
    if content_type == content_types.PARQUET:
        from clary.runtime.formats.parquet import decode_parquet

        return _split(decode_parquet(data, name), name, labelled, weighted)
    if content_type == content_types.LIBSVM:
        from clary.runtime.formats.libsvm import decode_libsvm

        return decode_libsvm(data, name, labelled=labelled)
    if content_type == content_types.RECORDIO:
        from clary.runtime.formats.recordio import decode_records

        return decode_records(data, name)
    raise FormatError(f"{name}: {content_type} is not a tabular content type; use one of {', '.join(TABULAR)}")


def _split(matrix: Floats, name: str, labelled: bool, weighted: bool) -> Table:
    if not labelled:
        return Table(matrix)
    leading = 2 if weighted else 1
    if matrix.shape[1] <= leading:
        wanted = "a label, a weight and features" if weighted else "a label and features"
        raise FormatError(f"{name}: expected {wanted}, but the rows have {matrix.shape[1]} columns")
    return Table(
        matrix[:, leading:],
        labels=matrix[:, 0].copy(),
        weights=matrix[:, 1].copy() if weighted else None,
    )
