"""PySpark in a processing job: S3 is read and written in place, with the job's credentials."""

import importlib.util
import io
import json
import shutil
import zipfile
from collections.abc import Callable
from typing import Any

import pytest

from clary.support.processing.tests.conftest import CODE, s3_input, s3_outputs
from clary.testing import Server, eventually

IMAGE = "173754725891.dkr.ecr.us-east-1.amazonaws.com/sagemaker-spark-processing:3.5-cpu-py39-v1.0"
ROLE = "arn:aws:iam::000000000000:role/service-role/AmazonSageMaker-ExecutionRole"
BUCKET = "processing-spark"
EVENTS = "/opt/ml/processing/spark-events/"
APPLICATION = """
import sys
import words
from pyspark.sql import SparkSession

place = sys.argv[1]
spark = SparkSession.builder.appName("counting").getOrCreate()
print("told", spark.conf.get("spark.sql.shuffle.partitions"))
rows = spark.read.csv(f"{place}/in/", header=True, inferSchema=True)
sums = rows.groupBy("word").sum("n").withColumnRenamed("sum(n)", "total")
for _ in range(2):
    sums.write.mode("overwrite").partitionBy("word").parquet(f"{place}/out/sums")
again = spark.read.parquet(f"{place.replace('s3:', 's3a:')}/out/sums")
print("totals", sorted((row.word, row.total) for row in again.collect()), words.shout("done"))
try:
    spark.read.text(f"{place}/missing").collect()
except Exception as error:
    print("missing", type(error).__name__)
"""


ON_HOSTS = """
import os, sys, threading
from pyspark.sql import SparkSession

spark = SparkSession.builder.getOrCreate()
pause = threading.Event()
master = spark.sparkContext.master
numbers = spark.sparkContext.parallelize(range(1000), 8)
while len(spark.sparkContext._jsc.sc().statusTracker().getExecutorInfos()) < 3:
    pause.wait(0.2)  # until the driver and two executors are there
hosts = set(numbers.map(lambda _: os.environ["HOSTNAME"]).collect())
spark.range(100).selectExpr("id", "concat('a b/', id % 2) AS part").write.partitionBy("part").json(sys.argv[1])
print("ran", master, sorted(hosts), spark.read.json(sys.argv[1]).selectExpr("sum(id)").first()[0])
"""


@pytest.fixture
def spark(server: Server) -> Callable[..., list[str]]:
    """Run a job in Spark's image; what it printed, once it has completed."""
    if importlib.util.find_spec("pyspark") is None or shutil.which("java") is None:
        pytest.skip("Spark needs the extra [spark] and Java 17")
    sagemaker, logs = server.client("sagemaker"), server.client("logs")

    def run(name: str, *, hosts: int = 1, inputs: Any, entrypoint: Any, arguments: Any, **members: Any) -> list[str]:
        cluster = {"InstanceType": "ml.m5.large", "InstanceCount": hosts, "VolumeSizeInGB": 5}
        sagemaker.create_processing_job(
            ProcessingJobName=name,
            RoleArn=ROLE,
            AppSpecification={
                "ImageUri": IMAGE, "ContainerEntrypoint": entrypoint, "ContainerArguments": arguments,
            },
            ProcessingInputs=inputs,
            ProcessingResources={"ClusterConfig": cluster},
            **members,
        )  # fmt: skip

        def ended() -> Any:
            found = sagemaker.describe_processing_job(ProcessingJobName=name)
            return found if found["ProcessingJobStatus"] not in {"InProgress", "Stopping"} else None

        job = eventually(ended, seconds=900)
        pages = logs.get_paginator("filter_log_events").paginate(
            logGroupName="/aws/sagemaker/ProcessingJobs", logStreamNamePrefix=f"{name}/"
        )
        lines = [event["message"] for page in pages for event in page["events"]]
        assert job["ProcessingJobStatus"] == "Completed", "\n".join([job.get("FailureReason", ""), *lines[-120:]])
        return lines

    return run


@pytest.mark.slow
def test_spark_reads_and_writes_s3_in_place(server: Server, unique: Callable[[str], str], spark: Any) -> None:
    s3, name = server.client("s3"), unique("spark")
    s3.create_bucket(Bucket=BUCKET)

    def put(key: str, body: bytes) -> str:
        s3.put_object(Bucket=BUCKET, Key=f"{name}/{key}", Body=body)
        return f"s3://{BUCKET}/{name}/{key}"

    put("in/a.csv", b"word,n\na,1\nb,2\n")
    put("in/b.csv", b"word,n\na,10\n")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("words.py", "def shout(text):\n    return text.upper()\n")
    dependency = put("deps/words.zip", packed.getvalue())
    configuration = [{"Classification": "spark-defaults", "Properties": {"spark.sql.shuffle.partitions": "3"}}]
    conf = put("conf/configuration.json", json.dumps(configuration).encode())
    code = put("code/count.py", APPLICATION.encode())
    lines = spark(
        name,
        inputs=[s3_input("code", code, CODE), s3_input("conf", conf, "/opt/ml/processing/input/conf")],
        entrypoint=[
            "smspark-submit", "--local-spark-event-logs-dir", EVENTS, "--py-files", dependency, f"{CODE}/count.py",
        ],
        arguments=[f"s3://{BUCKET}/{name}"],
        ProcessingOutputConfig=s3_outputs(f"s3://{BUCKET}/{name}/events", EVENTS, "Continuous"),
    )  # fmt: skip
    assert "told 3" in lines
    assert "totals [('a', 11), ('b', 2)] DONE" in lines
    assert "missing AnalysisException" in lines
    keys = [one["Key"] for one in s3.list_objects_v2(Bucket=BUCKET, Prefix=f"{name}/out/")["Contents"]]
    parts = [key.removeprefix(f"{name}/out/sums/").partition("/")[0] for key in keys]
    assert sorted(set(parts)) == ["_SUCCESS", "word=a", "word=b"], "nothing temporary, no markers of folders"
    assert len(keys) == 3, "the second writing took the place of the first"
    assert s3.list_objects_v2(Bucket=BUCKET, Prefix=f"{name}/events/")["KeyCount"] > 0


@pytest.mark.slow
def test_the_hosts_of_a_job_are_one_cluster(server: Server, unique: Callable[[str], str], spark: Any) -> None:
    s3, name = server.client("s3"), unique("cluster")
    bucket = name  # one that is made only now: the jobs before did not know it
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="code/hosts.py", Body=ON_HOSTS.encode())
    lines = spark(
        name,
        hosts=2,
        inputs=[s3_input("code", f"s3://{bucket}/code/hosts.py", CODE)],
        entrypoint=["smspark-submit", f"{CODE}/hosts.py"],
        arguments=[f"s3://{bucket}/out"],
    )
    assert "ran spark://algo-1:7077 ['algo-1', 'algo-2'] 4950" in lines
    parts = {one["Key"].split("/")[1] for one in s3.list_objects_v2(Bucket=bucket, Prefix="out/")["Contents"]}
    assert parts == {"_SUCCESS", "part=a b%2F0", "part=a b%2F1"}
