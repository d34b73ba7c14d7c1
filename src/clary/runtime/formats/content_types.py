"""Names of content types, and the spellings that clients use for them."""

CSV = "text/csv"
LIBSVM = "text/libsvm"
PARQUET = "application/x-parquet"
RECORDIO = "application/x-recordio-protobuf"
JSON = "application/json"
JSONLINES = "application/jsonlines"
NPY = "application/x-npy"
ALL = (CSV, JSON, JSONLINES, NPY, LIBSVM, PARQUET, RECORDIO)

ALIASES = {
    "csv": CSV,
    "text/csv": CSV,
    "application/csv": CSV,
    "libsvm": LIBSVM,
    "text/libsvm": LIBSVM,
    "text/x-libsvm": LIBSVM,
    "application/x-libsvm": LIBSVM,
    "parquet": PARQUET,
    "application/x-parquet": PARQUET,
    "application/vnd.apache.parquet": PARQUET,
    "recordio-protobuf": RECORDIO,
    "application/x-recordio-protobuf": RECORDIO,
    "json": JSON,
    "application/json": JSON,
    "jsonlines": JSONLINES,
    "application/jsonlines": JSONLINES,
    "application/x-jsonlines": JSONLINES,
    "application/json-lines": JSONLINES,
    "npy": NPY,
    "application/x-npy": NPY,
}


def canonical(content_type: str) -> str | None:
    """The one name for a content type in any spelling, with or without parameters; None if unknown."""
    return ALIASES.get(content_type.partition(";")[0].strip().lower())
