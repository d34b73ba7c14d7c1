"""awswrangler against S3 and the Glue catalog: parquet and csv, partitions, listing, tables, deleting."""

import json
import sys

import awswrangler as wr
import boto3
import pandas as pd

bucket = sys.argv[1]
boto3.client("s3").create_bucket(Bucket=bucket)
frame = pd.DataFrame({"day": ["a", "a", "b"], "value": [1, 2, 3]})
wr.s3.to_parquet(frame, f"s3://{bucket}/table/", dataset=True, partition_cols=["day"])
wr.s3.to_csv(frame, f"s3://{bucket}/one.csv", index=False)
read = wr.s3.read_parquet(f"s3://{bucket}/table/", dataset=True)
result = {
    "rows": len(read),
    "sum": int(read["value"].sum()),
    "csv_rows": len(wr.s3.read_csv(f"s3://{bucket}/one.csv")),
    "exists": wr.s3.does_object_exist(f"s3://{bucket}/one.csv"),
    "files": len(wr.s3.list_objects(f"s3://{bucket}/table/")),
    "account": wr.sts.get_account_id(),
}
wr.catalog.create_database(bucket.replace("-", "_"))
table = {"database": bucket.replace("-", "_"), "table": "days"}
for mode in ("overwrite", "append"):
    wr.s3.to_parquet(frame, f"s3://{bucket}/days/", dataset=True, partition_cols=["day"], mode=mode, **table)
wider = frame.assign(weight=0.5, day="c")
wr.s3.to_parquet(wider, f"s3://{bucket}/days/", dataset=True, partition_cols=["day"], mode="append", **table)
result["catalog"] = {
    "types": wr.catalog.get_table_types(**table),
    "partitions": sorted(wr.catalog.get_partitions(**table).values()),
    "filtered": sorted(wr.catalog.get_parquet_partitions(expression="day > 'a'", **table).values()),
    "tables": [each["Name"] for each in wr.catalog.get_tables(database=table["database"], name_prefix="da")],
    "rows": len(wr.s3.read_parquet_table(validate_schema=False, **table)),
    "versions": wr.catalog.get_table_number_of_versions(**table),
    "deleted": wr.catalog.delete_table_if_exists(**table),
    "exists": wr.catalog.does_table_exist(**table),
}
wr.s3.delete_objects(f"s3://{bucket}/table/")
result["left"] = len(wr.s3.list_objects(f"s3://{bucket}/table/"))
print(json.dumps(result))
