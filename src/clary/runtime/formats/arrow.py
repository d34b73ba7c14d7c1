"""Arrow tables to matrices, without `to_numpy`, which would load pandas (a second of start time)."""

from typing import Any

import numpy as np
import pyarrow

from clary.runtime.formats.table import Floats


def to_matrix(table: Any) -> Floats:
    """All columns of a pyarrow Table, numbers each, as float32; nulls become NaN."""
    matrix = np.empty((table.num_rows, table.num_columns), dtype=np.float32)
    for index, column in enumerate(table.columns):
        start = 0
        for chunk in column.cast(pyarrow.float32(), safe=False).chunks:
            full = chunk.fill_null(float("nan")) if chunk.null_count else chunk
            values = np.frombuffer(full.buffers()[1], dtype=np.float32, count=len(full), offset=4 * full.offset)
            matrix[start : start + len(chunk), index] = values
            start += len(chunk)
    return matrix
