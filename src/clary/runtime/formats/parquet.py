"""application/x-parquet: every column a number, in file order."""

from clary.runtime.formats.table import Floats, FormatError


def decode_parquet(data: bytes, name: str = "the request body") -> Floats:
    """A matrix of all columns. Nulls become NaN. Raises FormatError for columns that are not numbers."""
    import pyarrow
    from pyarrow import parquet

    from clary.runtime.formats.arrow import to_matrix

    try:
        table = parquet.ParquetFile(pyarrow.BufferReader(data)).read()
    except (pyarrow.ArrowInvalid, OSError) as error:
        raise FormatError(f"{name} is not a parquet file: {error}") from None
    for index, field in enumerate(table.schema):
        if pyarrow.types.is_boolean(field.type):
            table = table.set_column(index, field.name, table.column(index).cast(pyarrow.int8()))
        elif not (
            pyarrow.types.is_integer(field.type)
            or pyarrow.types.is_floating(field.type)
            or pyarrow.types.is_decimal(field.type)
        ):
            raise FormatError(f"{name}: column {field.name!r} is {field.type}, not a number")
    return to_matrix(table)
