"""Kill -9 what runs queries, at random moments: each ends as if nothing had been, its rows whole in S3."""

import random
import threading

import psutil
import pytest

from clary.testing import eventually, kill, kill_role, serving

ENDED = {"SUCCEEDED", "FAILED", "CANCELLED"}
ROUNDS = 2
BUCKET = "queries"


@pytest.mark.slow
def test_queries_outlive_the_carrier_and_their_engines(tmp_path):
    chosen = random.Random(7)
    pause = threading.Event()
    with serving(tmp_path / "home") as server:
        athena, s3 = server.client("athena"), server.client("s3")
        s3.create_bucket(Bucket=BUCKET)
        results = {"OutputLocation": f"s3://{BUCKET}/results/"}

        def start(number: int) -> str:
            query = (
                f"SELECT {number} AS round, count(*) AS n FROM UNNEST(sequence(1, 10000)) AS a (x) "
                "CROSS JOIN UNNEST(sequence(1, 3000)) AS b (y) WHERE x * y % 7 = 3"
            )
            return str(athena.start_query_execution(QueryString=query, ResultConfiguration=results)["QueryExecutionId"])

        def ended(name: str) -> dict[str, str] | None:
            status = athena.get_query_execution(QueryExecutionId=name)["QueryExecution"]["Status"]
            return status if status["State"] in ENDED else None

        first = start(0)
        assert eventually(lambda: ended(first))["State"] == "SUCCEEDED"
        for number in range(1, ROUNDS + 1):
            names = [start(number) for _ in range(3)]
            pause.wait(chosen.random())
            if number % 2:
                kill_role(server, "carrier")
            else:
                engines = [each for each in _forked(server.process.pid)]
                kill(*engines[:1])
            for name in names:
                status = eventually(lambda name=name: ended(name))
                assert status["State"] == "SUCCEEDED", status
                body = s3.get_object(Bucket=BUCKET, Key=f"results/{name}.csv")["Body"].read().decode()
                assert body.splitlines()[0] == '"round","n"'
                assert body.splitlines()[1].startswith(f'"{number}","')
        left = eventually(lambda: not _running(tmp_path / "home" / "queries"))
        assert left


def _forked(parent: int) -> list[psutil.Process]:
    """The processes of engines: those that were forked from the process that is there for that."""
    found = []
    for process in psutil.Process(parent).children(recursive=True):
        try:
            command = process.cmdline()
            if "clary.lake.engine.nursery" in command[2:3] and command == process.parent().cmdline():
                found.append(process)
        except (psutil.Error, AttributeError):
            continue
    return found


def _running(folder) -> list[str]:
    """Folders of queries beyond those of the engines that are ready."""
    return sorted(path.name for path in folder.iterdir())[2:]
