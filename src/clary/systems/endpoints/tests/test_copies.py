"""Data capture and shadow variants on the way of a request, with scripted servers on real sockets."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Platform
from clary.kernel.serving.routes import DOMAIN, Capture, Route, Target, dump_route, route_key, write_route
from clary.kernel.serving.tests.test_connections import hang_up
from clary.systems.endpoints import shadows
from clary.systems.endpoints.api.invocations import invoke_endpoint_with_response_stream
from clary.systems.endpoints.measures import NAMESPACE, Invocation, summarise
from clary.systems.endpoints.router import router_of
from clary.systems.endpoints.tests.test_router import ACCOUNT, REGION, World, reply, run, target

BUCKET = "captured"
RULES = Capture(f"s3://{BUCKET}", 100, csv_types=["text/csv"])


def route(world: World, *targets: Target, copies: Target | None = None, capture: Capture | None = None) -> None:
    table = dump_route(Route(list(targets), shadows=[copies] if copies else [], capture=capture))
    write_route(world.platform.kv(DOMAIN), route_key(ACCOUNT, REGION, "e"), table)


def lines(platform: Platform) -> dict[str, list[Any]]:
    """What was captured, by variant, once the platform has closed."""
    found: dict[str, list[Any]] = {}
    for one in platform.objects.list(BUCKET):
        text = platform.objects.local_path(BUCKET, one.key).read_text()
        found.setdefault(one.key.split("/")[1], []).extend(map(json.loads, text.splitlines()))
    return found


def total(platform: Platform, name: str, variant: str) -> float:
    """The sum of a metric, once the platform has closed."""
    dimensions = {"EndpointName": "e", "VariantName": variant}
    buckets = platform.metrics.buckets(
        ACCOUNT, REGION, NAMESPACE, name, dimensions, start=0, end=platform.clock.now() + 60, period=1e10
    )
    return sum(bucket.samples.total for bucket in buckets)


async def asked(world: World, name: str, times: int) -> None:
    while world.asked[name] < times:
        await asyncio.sleep(0.01)


def test_a_shadow_gets_what_production_gets_and_both_are_captured(platform: Platform, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        a = await world.serve("a", lambda *_: reply(b"7", b"Content-Type: text/csv"))
        b = await world.serve("b", lambda _, body: reply(body * 2, b"Content-Type: text/csv"))
        route(world, target("A", 1, i=a), copies=target("B", 1, j=b), capture=RULES)
        answers = [await world.ask(b"%d" % number, ContentType="text/csv") for number in range(10)]
        assert {(answer["Body"], answer["InvokedProductionVariant"]) for answer in answers} == {(b"7", "A")}
        await world.ask(b"stateful", ContentType="text/csv", SessionId="NEW_SESSION")
        with pytest.raises(AwsError, match='Variant "B" was not found'):
            await world.ask(TargetVariant="B")
        await asked(world, "b", 10)
        await asyncio.sleep(0.05)
        assert world.asked == {"a": 11, "b": 10}, "a session is known to the server that opened it alone"

    platform.objects.buckets.ensure(BUCKET, ACCOUNT, REGION)
    run(platform, tmp_path, scenario)
    platform.close()
    kept = lines(platform)
    assert [len(kept["A"]), len(kept["B"])] == [11, 10]
    by_event = {line["eventMetadata"]["eventId"]: line["captureData"] for line in kept["A"]}
    for line in kept["B"]:
        data, twin = line["captureData"], by_event[line["eventMetadata"]["eventId"]]
        assert data["endpointInput"] == twin["endpointInput"]
        assert data["endpointOutput"]["data"] == data["endpointInput"]["data"] * 2
        assert twin["endpointOutput"]["data"] == "7"
    assert (total(platform, "Invocations", "A"), total(platform, "Invocations", "B")) == (11, 10)


@pytest.mark.parametrize(("weight", "least", "most"), [(0, 0, 0), (1, 60, 140), (5, 200, 200)])
def test_a_shadow_gets_its_share(platform: Platform, tmp_path: Path, weight: float, least: int, most: int) -> None:
    async def scenario(world: World) -> None:
        a, b = [await world.serve(name, lambda *_: reply(b"ok")) for name in "ab"]
        route(world, target("A", 2, i=a), copies=target("B", weight, j=b))
        for _ in range(200):
            await world.ask()
        await asked(world, "b", least)
        await asyncio.sleep(0.05)
        assert least <= world.asked["b"] <= most

    run(platform, tmp_path, scenario)


def test_a_shadow_that_is_gone_hangs_or_fails_is_nobodys_trouble(platform: Platform, tmp_path: Path) -> None:
    """Those that hang are bounded; what does not go there is counted."""
    more = 10

    async def scenario(world: World) -> None:
        hold = asyncio.Event()

        async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await hold.wait()
            await hang_up(writer)

        a = await world.serve("a", lambda *_: reply(b"ok"))
        server = await asyncio.start_unix_server(hang, tmp_path / "hang")
        for copies in (
            target("Hangs", 1, j=f"unix:{tmp_path}/hang"),
            target("Gone", 1, j=f"unix:{tmp_path}/gone"),
            target("None", 1),
            target("Fails", 1, j=await world.serve("fails", lambda *_: reply(b"no", status=b"500 No"))),
        ):
            route(world, target("A", 1, i=a), copies=copies, capture=RULES)
            await asyncio.sleep(0.05)
            for _ in range(shadows.MOST_COPIES + more):
                assert (await world.ask())["Body"] == b"ok"
            hold.set()
            while world_is_busy():
                await asyncio.sleep(0.01)
        server.close()

    def world_is_busy() -> bool:
        return any("Copies" in task.get_coro().__qualname__ for task in asyncio.all_tasks())

    platform.objects.buckets.ensure(BUCKET, ACCOUNT, REGION)
    run(platform, tmp_path, scenario)
    platform.close()
    each = shadows.MOST_COPIES + more
    assert total(platform, "ShadowInvocationsDropped", "Hangs") == more
    assert total(platform, "InvocationModelErrors", "Hangs") == shadows.MOST_COPIES
    assert total(platform, "ShadowInvocationsDropped", "None") == each
    for variant, errors in (("Gone", "InvocationModelErrors"), ("Fails", "Invocation5XXErrors")):
        assert total(platform, errors, variant) + total(platform, "ShadowInvocationsDropped", variant) == each
        assert total(platform, errors, variant) > 0
    assert total(platform, "InvocationModelErrors", "A") == 0
    assert list(lines(platform)) == ["A"], "only answers are captured"


def streaming(*chunks: bytes, whole: bool = True) -> bytes:
    framed = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + framed + (b"0\r\n\r\n" if whole else b"")


def test_a_stream_is_captured_whole_or_not_at_all(
    platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clary.systems.endpoints.captures.LARGEST_STREAM_BYTES", 100)
    bodies = {b"whole": streaming(b"one", b"two"), b"large": streaming(b"x" * 60, b"y" * 60)}

    async def scenario(world: World) -> None:
        route(world, target("A", 1, i=await world.serve("a", lambda _, body: bodies[body])), capture=RULES)
        context = world.context("InvokeEndpointWithResponseStream")
        for body in bodies:
            output = await invoke_endpoint_with_response_stream(
                context, EndpointName="e", Body=body, ContentType="text/csv"
            )
            assert [event async for event in output["Body"]]
        left = await invoke_endpoint_with_response_stream(context, EndpointName="e", Body=b"whole")
        assert await anext(left["Body"])
        await left["Body"].aclose()

    platform.objects.buckets.ensure(BUCKET, ACCOUNT, REGION)
    run(platform, tmp_path, scenario)
    platform.close()
    (line,) = lines(platform)["A"]
    assert line["captureData"]["endpointInput"]["data"] == "whole"
    assert line["captureData"]["endpointOutput"]["encoding"] == "BASE64"


def test_each_container_of_several_is_measured() -> None:
    direct = Invocation(400, 0.003, 0.0001, 1, latencies=(("first", 0.003),), direct=True)
    serial = Invocation(200, 0.003, 0.0001, 1, latencies=(("first", 0.001), ("second", 0.002)))
    data = {
        (one.name, one.dimensions.get("ContainerName")): (one.values, one.unit)
        for one in summarise([serial], {"EndpointName": "e", "VariantName": "v"})
    }
    assert data["ContainerLatency", "first"] == ([1000], "Microseconds")
    assert data["ContainerLatency", "second"] == ([2000], "Microseconds")
    assert ("Invocations", "first") not in data
    found = summarise([direct], {"EndpointName": "e", "VariantName": "v"})
    of_first = {one.name: one.values for one in found if "ContainerName" in one.dimensions}
    assert of_first == {
        "ContainerLatency": [3000],
        "Invocations": [1.0],
        "Invocation4XXErrors": [1.0],
        "Invocation5XXErrors": [0.0],
        "OverheadLatency": [100],
    }


def test_requests_under_way_are_measured(platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clary.systems.endpoints.concurrency._LOOK_SECONDS", 0.01)
    monkeypatch.setattr("clary.systems.endpoints.router.KNOWN_SECONDS", 0.0)

    async def scenario(world: World) -> None:
        hold = asyncio.Event()

        async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            await hold.wait()
            writer.write(reply(b"late"))
            await hang_up(writer)

        server = await asyncio.start_unix_server(slow, tmp_path / "slow")
        route(world, target("A", 1, i=await world.serve("quick", lambda *_: reply(b"ok"))))
        await world.ask()
        route(world, target("A", 1, i=f"unix:{tmp_path}/slow"))
        await asyncio.sleep(0.05)
        late = [asyncio.create_task(world.ask()) for _ in range(3)]
        while highest() != 3:
            await asyncio.sleep(0.01)
        hold.set()
        assert {(await answer)["Body"] for answer in late} == {b"late"}
        world.withdraw()
        while router_of(platform)._concurrency._running:
            await asyncio.sleep(0.01)
        server.close()

    def highest() -> float:
        dimensions = {"EndpointName": "e", "VariantName": "A"}
        found = platform.metrics.buckets(
            *(ACCOUNT, REGION, NAMESPACE, "ConcurrentRequestsPerModel", dimensions),
            start=0,
            end=platform.clock.now() + 60,
            period=1e10,
        )
        return found[0].samples.maximum if found else 0

    run(platform, tmp_path, scenario)
