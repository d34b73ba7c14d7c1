"""awswrangler over Athena: a wide typed frame written to the catalog and read back every way it knows, and Iceberg."""

import datetime as dt
import decimal
import json
import sys

import awswrangler as wr
import boto3
import pandas as pd

bucket = sys.argv[1]
database = bucket.replace("-", "_")
lake, results = f"s3://{bucket}/lake", f"s3://{bucket}/results/"
boto3.client("s3").create_bucket(Bucket=bucket)
wr.catalog.create_database(database)
wr.config.athena_query_wait_polling_delay = 0.05
asking = {"database": database, "s3_output": results}

day, moment = dt.date(2024, 2, 29), pd.Timestamp("2024-02-29 12:34:56.789")
wide = pd.DataFrame(
    {
        "iint8": pd.array([1, None, 2], dtype="Int8"),
        "iint16": pd.array([1, None, 2], dtype="Int16"),
        "iint32": pd.array([1, None, 2], dtype="Int32"),
        "iint64": pd.array([1, None, 2**60], dtype="Int64"),
        "float": pd.array([0.5, None, 1.5], dtype="Float32"),
        "ddouble": [0.1, None, 1e300],
        "decimal": [decimal.Decimal("1.00"), None, decimal.Decimal("-2.50")],
        "string_object": ["foo", None, 'b"oo,\nö'],
        "string": pd.array(["", None, "boo"], dtype="string"),
        "date": [day, None, day + dt.timedelta(1)],
        "timestamp": [moment, None, moment],
        "bool": pd.array([True, None, False], dtype="boolean"),
        "binary": [b"\x00\x01", None, b"a"],
        "list_string": [["a", "b"], None, []],
        "list_list_int": [[[1], [2, 3]], None, [[4]]],
        "struct": [{"col0": 1, "col1": "x"}, None, {"col0": 2, "col1": None}],
        "category": pd.array([1.0, 2.0, 1.0]),
        "par0": [1, 1, 2],
        "par1": ["a", "b", "b"],
    }
)
wr.s3.to_parquet(
    wide,
    f"{lake}/wide/",
    dataset=True,
    database=database,
    table="wide",
    partition_cols=["par0", "par1"],
    dtype={"decimal": "decimal(3,2)", "list_list_int": "array<array<int>>"},
)


def plain(value):
    """A value as JSON has it, the same whichever way it came."""
    if hasattr(value, "tolist") and not isinstance(value, pd.Timestamp):
        value = value.tolist()
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [plain(each) for each in value]
    if pd.isna(value):
        return None
    return value.hex() if isinstance(value, bytes) else value if isinstance(value, (int, float, bool)) else str(value)


def rows(frame):
    return [
        {name: plain(row[name]) for name in frame.columns} for _, row in frame.sort_values(["par0", "par1"]).iterrows()
    ]


sql = "SELECT * FROM wide ORDER BY par0, par1"
read = {
    "ctas": wr.athena.read_sql_query(sql, **asking),
    "unload": wr.athena.read_sql_query(
        sql, ctas_approach=False, unload_approach=True, **{**asking, "s3_output": f"s3://{bucket}/unloaded/"}
    ),
    "table": wr.athena.read_sql_table("wide", **asking),
    "chunks": pd.concat(wr.athena.read_sql_query(sql, chunksize=1, **asking)),
}
ways = {way: rows(frame) for way, frame in read.items()}
simple = "SELECT iint8, iint64, float, ddouble, decimal, string, date, timestamp, bool, par0, par1 FROM wide"
ways["csv"] = rows(wr.athena.read_sql_query(simple, ctas_approach=False, **asking))
expected = rows(wide)
types = {name: str(dtype) for name, dtype in read["ctas"].dtypes.items()}

parameters = wr.athena.read_sql_query(
    "SELECT count(*) AS n FROM wide WHERE par1 = :par AND iint8 > :least",
    params={"par": "b", "least": 1},
    ctas_approach=False,
    **asking,
)
wr.athena.create_prepared_statement("SELECT par0 FROM wide WHERE par1 = ?", f"by_{database}")
prepared = wr.athena.read_sql_query(f"EXECUTE \"by_{database}\" USING 'a'", ctas_approach=False, **asking)
again = wr.athena.read_sql_query(
    simple, ctas_approach=False, athena_cache_settings={"max_cache_seconds": 900}, **asking
)
made = wr.athena.create_ctas_table(
    "SELECT iint64, par1 FROM wide WHERE par0 = 1",
    database=database,
    ctas_table="picked",
    partitioning_info=["par1"],
    storage_format="orc",
    write_compression="snappy",
    s3_output=results,
    wait=True,
)
folder = f"{lake}/hand/"
wr.s3.to_csv(pd.DataFrame({"a": [1, 2]}), f"{folder}p=x/f.csv", index=False, header=False)
wr.athena.wait_query(
    wr.athena.start_query_execution(
        f"CREATE EXTERNAL TABLE hand (a int) PARTITIONED BY (p string) ROW FORMAT DELIMITED FIELDS TERMINATED BY ','"
        f" LOCATION '{folder}'",
        database=database,
        s3_output=results,
    )
)
repaired = wr.athena.repair_table("hand", database=database, s3_output=results)

frame = pd.DataFrame({"id": [1, 2, 3], "name": ["a", "b", "c"], "ts": [moment] * 3})
ice = {"database": database, "table": "ice", "temp_path": f"s3://{bucket}/temp/", "s3_output": results}
wr.athena.to_iceberg(frame, table_location=f"{lake}/ice/", partition_cols=["name"], keep_files=False, **ice)
wr.athena.to_iceberg(
    pd.DataFrame({"id": [3, 4], "name": ["c", "d"], "ts": [moment + pd.Timedelta(hours=1)] * 2}),
    merge_cols=["id"],
    keep_files=False,
    **ice,
)
wr.athena.delete_from_iceberg_table(pd.DataFrame({"id": [1]}), merge_cols=["id"], keep_files=False, **ice)
iced = wr.athena.read_sql_query("SELECT id, name, ts FROM ice ORDER BY id", ctas_approach=False, **asking)

print(
    json.dumps(
        {
            "different": {
                way: [
                    {name: [got.get(name), want[name]] for name in got if got[name] != want[name]}
                    for got, want in zip(found, expected, strict=True)
                ]
                for way, found in ways.items()
            },
            "rows": {way: len(found) for way, found in ways.items()},
            "types": types,
            "parameters": int(parameters["n"][0]),
            "prepared": prepared["par0"].tolist(),
            "again": len(again),
            "picked": wr.athena.read_sql_query("SELECT * FROM picked ORDER BY 2", **asking).to_csv(index=False),
            "made": made["ctas_table"],
            "repaired": repaired,
            "hand": wr.athena.read_sql_query("SELECT sum(a) AS s, p FROM hand GROUP BY p", **asking).to_csv(
                index=False
            ),
            "described": wr.athena.describe_table("hand", database=database, s3_output=results).to_csv(index=False),
            "shown": wr.athena.show_create_table("hand", database=database, s3_output=results),
            "columns": wr.athena.get_query_columns_types(
                wr.athena.start_query_execution(simple, database=database, s3_output=results, wait=True)[
                    "QueryExecutionId"
                ]
            ),
            "iceberg": iced.to_csv(index=False),
        }
    )
)
