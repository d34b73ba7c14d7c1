"""S3 as data tools use it: pyarrow's S3FileSystem, boto3's transfer manager, DuckDB where its httpfs is there."""

import hashlib
import json
import os
import sys
import tempfile
from pathlib import Path

import boto3
import duckdb
import pyarrow as pa
import pyarrow.dataset
import pyarrow.fs
import pyarrow.parquet
from boto3.s3.transfer import TransferConfig

bucket = sys.argv[1]
result = {}
s3 = boto3.client("s3")
s3.create_bucket(Bucket=bucket)

table = pa.table({"number": range(100_000), "text": [f"row {index}" for index in range(100_000)]})
arrow = pa.fs.S3FileSystem(endpoint_override=os.environ["AWS_ENDPOINT_URL"], region=os.environ["AWS_REGION"])
pa.parquet.write_table(table, f"{bucket}/arrow/one.parquet", filesystem=arrow)
pa.dataset.write_dataset(
    table,
    f"{bucket}/arrow/parts",
    filesystem=arrow,
    format="parquet",
    max_rows_per_file=20_000,
    max_rows_per_group=20_000,
)
again = pa.dataset.dataset(f"{bucket}/arrow/parts", filesystem=arrow).to_table(columns=["number"])
result["arrow_rows"] = again.num_rows
result["arrow_sum"] = sum(again["number"].to_pylist())
result["arrow_files"] = len(arrow.get_file_info(pa.fs.FileSelector(f"{bucket}/arrow/parts", recursive=True)))

size = 200 * 2**20
with tempfile.TemporaryDirectory() as folder:
    source, target = Path(folder, "source"), Path(folder, "target")
    block = os.urandom(2**20)
    with source.open("wb") as file:
        for index in range(200):
            file.write(index.to_bytes(8, "big") + block[8:])
    config = TransferConfig(multipart_threshold=8 * 2**20, multipart_chunksize=8 * 2**20, max_concurrency=4)
    s3.upload_file(str(source), bucket, "big/200mb", Config=config)
    s3.download_file(bucket, "big/200mb", str(target), Config=config)
    digests = {hashlib.file_digest(path.open("rb"), "sha256").hexdigest() for path in (source, target)}
head = s3.head_object(Bucket=bucket, Key="big/200mb")
result["transfer_same"] = len(digests) == 1 and head["ContentLength"] == size
result["transfer_etag_parts"] = head["ETag"].strip('"').partition("-")[2]

connection = duckdb.connect()
try:
    connection.execute("LOAD httpfs")
except duckdb.Error as error:
    result["duckdb"] = f"no httpfs in this wheel: {str(error).splitlines()[0]}"
else:
    endpoint = os.environ["AWS_ENDPOINT_URL"].partition("://")[2]
    connection.execute(
        f"CREATE SECRET (TYPE s3, KEY_ID '{os.environ['AWS_ACCESS_KEY_ID']}', "
        f"SECRET '{os.environ['AWS_SECRET_ACCESS_KEY']}', ENDPOINT '{endpoint}', URL_STYLE 'path', USE_SSL false)"
    )
    query = f"SELECT count(*), sum(number) FROM 's3://{bucket}/arrow/parts/*.parquet'"
    result["duckdb"] = list(connection.execute(query).fetchone())
print(json.dumps(result))
