"""PyAthena: the cursors of PEP 249 and of pandas, and SQLAlchemy's dialect."""

import json
import sys
from concurrent.futures import wait

import boto3
import pandas as pd
import pyathena
import sqlalchemy as sa
from pyathena import connect
from pyathena.async_cursor import AsyncCursor
from pyathena.cursor import DictCursor
from pyathena.pandas.cursor import PandasCursor
from pyathena.pandas.util import to_sql

bucket = sys.argv[1]
database = bucket.replace("-", "_")
boto3.client("s3").create_bucket(Bucket=bucket)
staging = f"s3://{bucket}/staging/"
plain = connect(s3_staging_dir=staging, schema_name="default", poll_interval=0.05)
with plain.cursor() as cursor:
    cursor.execute(f"CREATE DATABASE IF NOT EXISTS {database}")
connection = connect(s3_staging_dir=staging, schema_name=database, poll_interval=0.05)
result = {}
with connection.cursor() as cursor:
    cursor.execute(
        """
        SELECT 1 AS n, CAST(1.50 AS decimal(5,2)) AS d, 'x''y' AS s, true AS b, NULL AS nothing,
               DATE '2024-02-29' AS day, TIMESTAMP '2024-02-29 01:02:03.456' AS at, ARRAY[1, 2] AS list,
               MAP(ARRAY['k'], ARRAY[1]) AS map, CAST(ROW(1, 'z') AS ROW(a integer, b varchar)) AS row,
               X'00ff' AS bytes, 0.1e0 AS double, JSON '{"a": [1]}' AS j
        """
    )
    result["row"] = [str(value) for value in cursor.fetchone()]
    result["description"] = [each[:2] for each in cursor.description]
    cursor.execute(
        "SELECT * FROM (VALUES (1, 'a'), (2, 'b'), (3, NULL)) AS t (n, s) WHERE n >= %(least)d", {"least": 2}
    )
    result["all"] = cursor.fetchall()
    cursor.execute("SELECT n FROM UNNEST(sequence(1, 2500)) AS t (n) ORDER BY n")
    result["pages"] = sum(n for (n,) in cursor)
    result["scanned"] = cursor.data_scanned_in_bytes
    cursor.execute("SELECT ? + ?", ["1", "2"], paramstyle="qmark")
    result["qmark"] = cursor.fetchone()
    try:
        cursor.execute("SELECT nope FROM (VALUES 1) AS t (n)")
    except pyathena.error.OperationalError as error:
        result["error"] = str(error)
to_sql(
    pd.DataFrame({"carrier": ["UA", "AA", "UA"], "delay": [1.5, 2.5, None], "month": [1, 1, 2]}),
    "flights",
    connection,
    f"s3://{bucket}/flights/",
    schema=database,
    index=False,
    partitions=["month"],
    if_exists="replace",
)
with connection.cursor(DictCursor) as cursor:
    cursor.execute("SELECT carrier, count(*) AS n, sum(delay) AS s FROM flights GROUP BY carrier ORDER BY carrier")
    result["dicts"] = cursor.fetchall()
with connection.cursor(PandasCursor) as cursor:
    frame = cursor.execute("SELECT * FROM flights ORDER BY delay").as_pandas()
    result["pandas"] = json.loads(frame.to_json(orient="split", index=False))
with connection.cursor(PandasCursor, unload=True) as cursor:
    result["unloaded"] = len(cursor.execute("SELECT * FROM flights").as_pandas())
with connection.cursor(AsyncCursor) as cursor:
    futures = [cursor.execute(f"SELECT {n} * {n}")[1] for n in range(4)]
    wait(futures)
    result["async"] = sorted(future.result().fetchone()[0] for future in futures)

engine = sa.create_engine(
    "awsathena+rest://:@athena.us-east-1.amazonaws.com:443/" + database,
    connect_args={"s3_staging_dir": staging, "poll_interval": 0.05},
)
with engine.connect() as session:
    inspector = sa.inspect(session)
    result["has"] = [inspector.has_table(name, database) for name in ("flights", "nothing")]
    result["tables"] = inspector.get_table_names(database)
    result["reflected"] = {each["name"]: str(each["type"]) for each in inspector.get_columns("flights", database)}
    table = sa.Table("flights", sa.MetaData(), autoload_with=session)
    query = sa.select(table.c.carrier, sa.func.max(table.c.delay)).where(table.c.month == 1).group_by(table.c.carrier)
    result["alchemy"] = [list(row) for row in session.execute(query.order_by(table.c.carrier))]
    made = sa.Table(
        "made",
        sa.MetaData(schema=database),
        sa.Column("id", sa.BigInteger, comment="which"),
        sa.Column("name", sa.String),
        awsathena_location=f"s3://{bucket}/made/",
        awsathena_file_format="PARQUET",
    )
    made.create(bind=session)
    session.execute(sa.insert(made).values(id=1, name="one"))
    result["inserted"] = [list(row) for row in session.execute(sa.select(made))]
    made.drop(bind=session)
    result["left"] = sa.inspect(session).get_table_names(database)
print(json.dumps(result))
