"""awswrangler against S3: parquet and csv, partitions, listing, deleting."""

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
wr.s3.delete_objects(f"s3://{bucket}/table/")
result["left"] = len(wr.s3.list_objects(f"s3://{bucket}/table/"))
print(json.dumps(result))
