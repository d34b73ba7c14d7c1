"""dbt-athena over flights' carriers: seeds, views, tables, incremental models, Iceberg, tests and documents."""

import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

import boto3
from dbt.cli.main import dbtRunner

bucket = sys.argv[1]
schema = bucket.replace("-", "_")
boto3.client("s3").create_bucket(Bucket=bucket)
project = Path(tempfile.mkdtemp()) / "project"
shutil.copytree(Path(__file__).parent / "dbt", project)
os.environ.update(BUCKET=bucket, SCHEMA=schema, DO_NOT_TRACK="1")


def dbt(*arguments: str) -> dict[str, str]:
    """Run dbt; the status of each node, with its message where it failed."""
    done = dbtRunner().invoke([*arguments, "--project-dir", str(project), "--profiles-dir", str(project), "--quiet"])
    if done.exception:
        raise done.exception
    return {
        each.node.name: str(each.status)
        if str(each.status) in ("success", "pass")
        else f"{each.status}: {each.message}"
        for each in getattr(done.result, "results", ())
    }


def ask(sql: str) -> list[list[str]]:
    from pyathena import connect

    connection = connect(
        s3_staging_dir=f"s3://{bucket}/asked/", schema_name=schema, region_name="us-east-1", poll_interval=0.05
    )
    return [list(map(str, row)) for row in connection.cursor().execute(sql).fetchall()]


result = {
    "seed": dbt("seed"),
    "first": dbt("run"),
    "test": dbt("test"),
    "second": dbt("run", "--vars", '{"run": 2}'),
    "by_year": ask("SELECT * FROM by_year ORDER BY code"),
    "runs": ask("SELECT code, run FROM runs ORDER BY code"),
    "log": ask("SELECT run, count(*) FROM log GROUP BY run ORDER BY run"),
    "latest": ask("SELECT * FROM latest ORDER BY code"),
}
dbt("docs", "generate")
catalog = json.loads((project / "target" / "catalog.json").read_text())
result["documented"] = sorted(node.rpartition(".")[2] for node in catalog["nodes"])
print(json.dumps(result))
