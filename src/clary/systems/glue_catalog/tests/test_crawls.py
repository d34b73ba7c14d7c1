"""How crawls begin and end: by schedules, by a stop, after a kill; and what is told of it."""

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import psutil
import pytest

from clary.kernel.core.clock import VirtualClock
from clary.kernel.rooms import Platform
from clary.kernel.rooms.tests.in_process import Caller, reconcilers
from clary.systems.glue_catalog.crawling.fleet import fleet_of
from clary.systems.glue_catalog.records import CRAWLERS_TOPIC
from clary.systems.glue_catalog.tests.crawling import ROLE
from clary.testing import Server, eventually, kill_role, start_server, stop_server

pytest.importorskip("pyarrow")


class TestBySchedule:
    @pytest.fixture
    def clock(self) -> VirtualClock:
        return VirtualClock()

    def test_a_crawl_begins_when_it_is_due_and_is_told(
        self, platform: Platform, clock: VirtualClock, caller: Caller, queue: Any, received: Any
    ) -> None:
        arn, url = queue("crawls")
        events, glue = caller("events"), caller("glue")
        events("PutRule", Name="crawls", EventPattern=json.dumps({"source": ["aws.glue"]}))
        events("PutTargets", Rule="crawls", Targets=[{"Id": "q", "Arn": arn}])
        platform.objects.buckets.create("lake", "111122223333", "eu-west-1")
        platform.objects.put_bytes("lake", "t/f.csv", b"n,s\n1,x\n2,y\n")
        glue(
            "CreateCrawler",
            Name="hourly",
            Role="any",
            DatabaseName="db",
            Targets={"S3Targets": [{"Path": "s3://lake/t"}]},
            Schedule="cron(0 * * * ? *)",
        )
        run = reconcilers(platform)
        wait = run[CRAWLERS_TOPIC](None)
        assert wait is not None
        assert 0 < wait <= 3600
        assert glue("GetCrawler", Name="hourly")["Crawler"]["State"] == "READY"
        clock.advance(wait)
        run[CRAWLERS_TOPIC](None)
        assert glue("GetCrawler", Name="hourly")["Crawler"]["State"] == "RUNNING"
        with pytest.raises(Exception, match="already started"):
            glue("StartCrawler", Name="hourly")
        run[CRAWLERS_TOPIC]("111122223333/eu-west-1/hourly")
        crawler = eventually(lambda: self.ready(glue, "hourly"))
        assert crawler["LastCrawl"]["Status"] == "SUCCEEDED"
        assert glue("GetTable", DatabaseName="db", Name="t")["Table"]["Parameters"]["classification"] == "csv"
        assert run[CRAWLERS_TOPIC](None) == 3600
        run["eventbridge-observer"](None)
        run["events"](None)
        run["events"]("arn:aws:events:eu-west-1:111122223333:rule/crawls|q")
        details = [json.loads(message["Body"])["detail"] for message in received(url)]
        assert [detail["state"] for detail in details] == ["Started", "Succeeded"]
        assert details[1]["tablesCreated"] == "1"

    @staticmethod
    def ready(glue: Any, name: str) -> Any:
        crawler = glue("GetCrawler", Name=name)["Crawler"]
        return crawler if crawler["State"] == "READY" else None

    def test_a_crawl_is_stopped(self, platform: Platform, caller: Caller) -> None:
        glue = caller("glue")
        platform.objects.buckets.create("lake", "111122223333", "eu-west-1")
        glue("CreateCrawler", Name="c", Role="any", DatabaseName="db", Targets={"S3Targets": [{"Path": "s3://lake/"}]})
        glue("StartCrawler", Name="c")
        glue("StopCrawler", Name="c")
        with pytest.raises(Exception, match="is stopping"):
            glue("StopCrawler", Name="c")
        reconcilers(platform)[CRAWLERS_TOPIC](None)
        assert eventually(lambda: self.ready(glue, "c"))["LastCrawl"]["Status"] == "CANCELLED"
        assert glue("ListCrawls", CrawlerName="c")["Crawls"][0]["State"] == "STOPPED"

    def test_a_crawl_may_do_what_its_role_may(self, platform: Platform, caller: Caller) -> None:
        trust = {"Effect": "Allow", "Principal": {"Service": "glue.amazonaws.com"}, "Action": "sts:AssumeRole"}
        caller("iam")(
            "CreateRole",
            RoleName="weak",
            AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
        )
        allowed = {"Effect": "Allow", "Action": "glue:*", "Resource": "*"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
        caller("iam")("PutRolePolicy", RoleName="weak", PolicyName="p", PolicyDocument=document)
        glue = caller("glue")
        platform.objects.buckets.create("lake", "111122223333", "eu-west-1")
        glue("CreateCrawler", Name="c", Role="weak", DatabaseName="db", Targets={"S3Targets": [{"Path": "s3://lake/"}]})
        glue("StartCrawler", Name="c")
        reconcilers(platform)[CRAWLERS_TOPIC](None)
        last = eventually(lambda: self.ready(glue, "c"))["LastCrawl"]
        assert last["Status"] == "FAILED"
        assert "s3:ListBucket" in last["ErrorMessage"]
        fleet_of.end(platform)


@pytest.fixture
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = start_server(tmp_path_factory.mktemp("killed") / "home")
    yield server
    stop_server(server)


@pytest.mark.slow
def test_a_crawl_that_is_cut_off_is_done_again(own: Server) -> None:
    """The carrier is killed again and again; the catalog is then what one crawl alone would have made of it."""
    s3, glue, logs = own.client("s3"), own.client("glue"), own.client("logs")
    s3.create_bucket(Bucket="lake")
    for number in range(60):
        s3.put_object(Bucket="lake", Key=f"t/k={number:02}/f.json", Body=json.dumps({"a": number, "b": "x"}))
    glue.create_database(DatabaseInput={"Name": "db"})
    glue.create_crawler(Name="c", Role=ROLE, DatabaseName="db", Targets={"S3Targets": [{"Path": "s3://lake/t"}]})
    glue.start_crawler(Name="c")

    def begun(times: int) -> bool:
        """Whether the crawl has begun so often."""
        try:
            events = logs.filter_log_events(logGroupName="/aws-glue/crawlers", filterPattern='"Running Start Crawl"')
        except logs.exceptions.ResourceNotFoundException:
            return False
        return len(events["events"]) >= times

    for times in (1, 2, 3):
        eventually(lambda times=times: begun(times) or glue.get_crawler(Name="c")["Crawler"]["State"] == "READY")
        kill_role(own, "carrier")
    crawler = eventually(lambda: (found := glue.get_crawler(Name="c")["Crawler"])["State"] == "READY" and found)
    assert crawler["LastCrawl"]["Status"] == "SUCCEEDED"
    assert [table["Name"] for table in glue.get_tables(DatabaseName="db")["TableList"]] == ["t"]
    partitions = glue.get_partitions(DatabaseName="db", TableName="t")["Partitions"]
    assert [each["Values"] for each in partitions] == [[f"{number:02}"] for number in range(60)]
    assert [crawl["State"] for crawl in glue.list_crawls(CrawlerName="c")["Crawls"]] == ["COMPLETED"]
    eventually(lambda: not looking(own))


def looking(server: Server) -> list[psutil.Process]:
    """The processes that look into files."""
    found = []
    for process in psutil.Process(server.process.pid).children(recursive=True):
        with suppress(psutil.Error):
            if "clary.lake.inference.worker" in process.cmdline():
                found.append(process)
    return found
