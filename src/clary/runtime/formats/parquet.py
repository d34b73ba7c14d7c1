"""application/x-parquet: every column a number, in file order."""

import numpy as np

from clary.runtime.formats.table import Floats, FormatError


def decode_parquet(data: bytes, name: str = "the request body") -> Floats:
    """A matrix of all columns. Nulls become NaN. Raises FormatError for columns that are not numbers."""
    import pyarrow
    from pyarrow import parquet

    try:
        table = parquet.ParquetFile(pyarrow.BufferReader(data)).read()
    except (pyarrow.ArrowInvalid, OSError) as error:
        raise FormatError(f"{name} is not a parquet file: {error}") from None
    matrix = np.empty((table.num_rows, table.num_columns), dtype=np.float32)
    for index, field in enumerate(table.schema):
        column = table.column(index)
        if pyarrow.types.is_boolean(field.type):
            column = column.cast(pyarrow.int8())
        elif not (
            pyarrow.types.is_integer(field.type)
            or pyarrow.types.is_floating(field.type)
            or pyarrow.types.is_decimal(field.type)
        ):
            raise FormatError(f"{name}: column {field.name!r} is {field.type}, not a number")
        matrix[:, index] = column.cast(pyarrow.float32(), safe=False).to_numpy(zero_copy_only=False)
    return matrix
