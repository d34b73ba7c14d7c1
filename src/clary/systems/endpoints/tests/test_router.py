"""Invocations through the router, to scripted servers on real sockets, without an executor."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Context, Platform
from clary.kernel.serving.routes import DIRECT, DOMAIN, SERIAL, Route, Target, dump_route, route_key, write_route
from clary.kernel.serving.tests.test_connections import hang_up
from clary.systems.endpoints.api.invocations import invoke_endpoint, invoke_endpoint_with_response_stream
from clary.systems.endpoints.measures import Invocation, summarise
from clary.systems.endpoints.router import FRESH_SECONDS, router_of

ACCOUNT, REGION = "000000000000", "us-east-1"
Handler = Callable[[str, bytes], bytes]


class World:
    """Servers by name, and an endpoint `e` that is routed to them."""

    def __init__(self, platform: Platform, folder: Path) -> None:
        self.platform = platform
        self.folder = folder
        self.asked: Counter[str] = Counter()
        self.accepted: set[asyncio.Task[None]] = set()
        self.servers = AsyncExitStack()

    async def serve(self, name: str, handler: Handler) -> str:
        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            self.accepted.add(task)
            try:
                while True:
                    head = (await reader.readuntil(b"\r\n\r\n")).decode()
                    size = int(head.partition("Content-Length: ")[2].partition("\r")[0])
                    body = await reader.readexactly(size)
                    self.asked[name] += 1
                    writer.write(handler(head, body))
            except (asyncio.IncompleteReadError, ConnectionError):
                pass
            finally:
                await hang_up(writer)

        path = self.folder / name
        server = await asyncio.start_unix_server(accept, path)
        self.servers.callback(server.close)
        return f"unix:{path}"

    def route(self, *targets: Target) -> None:
        write_route(self.platform.kv(DOMAIN), route_key(ACCOUNT, REGION, "e"), dump_route(Route(list(targets))))

    def withdraw(self) -> None:
        write_route(self.platform.kv(DOMAIN), route_key(ACCOUNT, REGION, "e"), None)

    async def ask(self, body: bytes = b"x", **members: Any) -> dict[str, Any]:
        return await invoke_endpoint(self.context("InvokeEndpoint"), EndpointName="e", Body=body, **members)

    async def whole(self) -> bytes:
        body: bytes = (await self.ask())["Body"]
        return body

    async def ask_streamed(self) -> bytes:
        context = self.context("InvokeEndpointWithResponseStream")
        output = await invoke_endpoint_with_response_stream(context, EndpointName="e", Body=b"x")
        return b"".join([event["PayloadPart"]["Bytes"] async for event in output["Body"]])

    def context(self, operation: str) -> Context:
        return self.platform.acting_as_root(ACCOUNT, REGION, "sagemaker-runtime", operation)


def target(name: str, weight: float, **servers: str) -> Target:
    return Target(name, weight, len(servers), {instance: [address] for instance, address in servers.items()})


def several(mode: str, **containers: str) -> Target:
    """A variant of one instance with several containers."""
    return Target("A", 1, 1, {"i": list(containers.values())}, list(containers), mode)


def reply(body: bytes, *headers: bytes, status: bytes = b"200 OK") -> bytes:
    lines = b"".join(header + b"\r\n" for header in headers)
    return b"HTTP/1.1 " + status + b"\r\n" + lines + b"Content-Length: %d\r\n\r\n" % len(body) + body


def run(platform: Platform, folder: Path, scenario: Callable[[World], Awaitable[None]]) -> None:
    async def inside() -> None:
        world = World(platform, folder)
        async with world.servers:
            await scenario(world)
            router_of(platform).close()
            await asyncio.wait(world.accepted, timeout=5)

    asyncio.run(inside())


def test_traffic_follows_the_weights(platform: Platform, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        a, b, c = [await world.serve(name, lambda *_: reply(b"ok")) for name in "abc"]
        world.route(target("A", 3, i1=a, i2=b), target("B", 1, i3=c), target("Dark", 0, i4=c))
        variants = Counter([(await world.ask())["InvokedProductionVariant"] for _ in range(400)])
        assert set(variants) == {"A", "B"}
        assert 240 < variants["A"] < 360
        assert min(world.asked.values()) > 50
        assert (await world.ask(TargetVariant="Dark"))["InvokedProductionVariant"] == "Dark"

    run(platform, tmp_path, scenario)


def test_what_is_sent_reaches_the_model_and_back(platform: Platform, tmp_path: Path) -> None:
    heads: list[str] = []

    def handler(head: str, body: bytes) -> bytes:
        heads.append(head)
        return reply(body, b"Content-Type: text/plain", b"X-Amzn-SageMaker-Custom-Attributes: trace=1")

    async def scenario(world: World) -> None:
        world.route(target("A", 1, i=await world.serve("a", handler)))
        answer = await world.ask(b"body", ContentType="text/csv", Accept="text/plain", CustomAttributes="c=d")
        assert answer["Body"] == b"body"
        assert (answer["ContentType"], answer["CustomAttributes"]) == ("text/plain", "trace=1")
        for line in ("Content-Type: text/csv", "Accept: text/plain", "X-Amzn-SageMaker-Custom-Attributes: c=d"):
            assert f"\r\n{line}\r\n" in heads[0]
        with pytest.raises(AwsError, match="line break"):
            await world.ask(CustomAttributes="a\r\nHost: elsewhere")

    run(platform, tmp_path, scenario)


def test_a_request_passes_through_all_containers(platform: Platform, tmp_path: Path) -> None:
    def adds(letter: bytes) -> Handler:
        return lambda head, body: reply(body + letter, b"Content-Type: application/%s" % letter)

    def refuses(head: str, body: bytes) -> bytes:
        return reply(b"not that" if "application/a" in head else b"?", status=b"422 Unprocessable")

    async def scenario(world: World) -> None:
        a, b, no = [
            await world.serve(name, handler)
            for name, handler in (("a", adds(b"a")), ("b", adds(b"b")), ("no", refuses))
        ]
        world.route(several(SERIAL, first=a, second=b))
        answer = await world.ask(ContentType="text/csv")
        assert (answer["Body"], answer["ContentType"]) == (b"xab", "application/b")
        assert await world.ask_streamed() == b"xab"
        with pytest.raises(AwsError, match="TargetContainerHostname is for models"):
            await world.ask(TargetContainerHostname="first")
        world.route(several(SERIAL, first=a, second=no, third=b))
        await asyncio.sleep(2 * FRESH_SECONDS)
        world.asked.clear()
        with pytest.raises(AwsError, match='from second with message "not that"'):
            await world.ask()
        assert world.asked == {"a": 1, "no": 1}
        world.route(several(DIRECT, first=a, second=b))
        await asyncio.sleep(2 * FRESH_SECONDS)
        assert (await world.ask(TargetContainerHostname="second"))["Body"] == b"xb"
        with pytest.raises(AwsError, match="name one of first, second"):
            await world.ask()

    run(platform, tmp_path, scenario)


def test_a_server_that_cannot_be_reached_is_passed_over(platform: Platform, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        world.route(target("A", 1, gone=f"unix:{tmp_path}/gone", there=await world.serve("a", lambda *_: reply(b"ok"))))
        for _ in range(20):
            assert (await world.ask())["Body"] == b"ok"
        world.route(target("A", 1, gone=f"unix:{tmp_path}/gone"))
        await asyncio.sleep(2 * FRESH_SECONDS)
        with pytest.raises(AwsError) as caught:
            await world.ask()
        assert caught.value.code == "ServiceUnavailable"
        world.route(Target("A", 1, 1, {}))
        await asyncio.sleep(2 * FRESH_SECONDS)
        with pytest.raises(AwsError) as caught:
            await world.ask()
        assert caught.value.code == "ServiceUnavailable"
        world.withdraw()
        await asyncio.sleep(2 * FRESH_SECONDS)
        with pytest.raises(AwsError, match="Endpoint e of account 000000000000 not found"):
            await world.ask()

    run(platform, tmp_path, scenario)


def test_every_instance_is_asked_before_a_request_fails(platform: Platform, tmp_path: Path) -> None:
    gone = {f"gone{number}": f"unix:{tmp_path}/gone{number}" for number in range(6)}

    async def scenario(world: World) -> None:
        there = await world.serve("a", lambda *_: reply(b"ok"))
        for targets in (
            [target("A", 1, **gone, there=there)],
            [target("A", 1000, **gone), target("B", 1, there=there)],
        ):
            world.route(*targets)
            await asyncio.sleep(2 * FRESH_SECONDS)
            for _ in range(5):
                assert (await world.ask())["Body"] == b"ok"
                assert await world.ask_streamed() == b"ok"

    run(platform, tmp_path, scenario)


def test_a_request_that_a_container_has_answered_is_not_passed_to_another_instance(
    platform: Platform, tmp_path: Path
) -> None:
    async def scenario(world: World) -> None:
        first = await world.serve("first", lambda *_: reply(b"ok"))
        servers = {name: [first, f"unix:{tmp_path}/gone"] for name in "ij"}
        world.route(Target("A", 1, 2, servers, ["first", "second"], SERIAL))
        for ask in (world.ask, world.ask_streamed):
            world.asked.clear()
            with pytest.raises(AwsError) as caught:
                await ask()
            assert caught.value.code == "ServiceUnavailable"
            assert world.asked == {"first": 1}

    run(platform, tmp_path, scenario)


@pytest.mark.parametrize("streamed", [False, True])
def test_a_request_that_waited_for_an_instance_which_then_went_gets_the_next(
    platform: Platform, tmp_path: Path, streamed: bool
) -> None:
    def serverless(address: str) -> Target:
        return Target("A", 1, 1, {"i": [address]}, concurrency=1)

    async def scenario(world: World) -> None:
        there = await world.serve("a", lambda *_: reply(b"ok"))
        world.route(serverless(f"unix:{tmp_path}/gone"))
        asked = asyncio.create_task(world.ask_streamed() if streamed else world.whole())
        await asyncio.sleep(2 * FRESH_SECONDS)
        assert not asked.done()
        world.route(serverless(there))
        assert await asked == b"ok"
        assert await world.whole() == b"ok", "it has left its instance to others"

    run(platform, tmp_path, scenario)


def test_a_container_that_refuses_what_is_to_be_streamed_leaves_its_instance_to_others(
    platform: Platform, tmp_path: Path
) -> None:
    async def scenario(world: World) -> None:
        no = await world.serve("no", lambda *_: reply(b"no", status=b"400 Bad Request"))
        world.route(Target("A", 1, 1, {"i": [no, no]}, ["first", "second"], SERIAL, concurrency=1))
        for _ in range(2):
            with pytest.raises(AwsError, match="from first"):
                await world.ask_streamed()

    run(platform, tmp_path, scenario)


def test_a_model_that_is_busy_gets_fewer_requests(platform: Platform, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        a, b = [await world.serve(name, lambda *_: reply(b"ok")) for name in "ab"]
        reached, hold = asyncio.Event(), asyncio.Event()

        async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            reached.set()
            await hold.wait()
            writer.write(reply(b"late"))
            await hang_up(writer)

        server = await asyncio.start_unix_server(slow, tmp_path / "slow")
        world.route(target("A", 1, slow=f"unix:{tmp_path}/slow"))
        late = asyncio.create_task(world.ask())
        await reached.wait()
        world.route(target("A", 1, slow=f"unix:{tmp_path}/slow", a=a, b=b))
        await asyncio.sleep(2 * FRESH_SECONDS)
        assert {(await world.ask())["Body"] for _ in range(30)} == {b"ok"}
        hold.set()
        assert (await late)["Body"] == b"late"
        server.close()

    run(platform, tmp_path, scenario)


def test_a_session_stays_with_its_server(platform: Platform, tmp_path: Path) -> None:
    def stateful(name: str) -> Handler:
        def handler(head: str, body: bytes) -> bytes:
            if "Session-Id: NEW_SESSION" in head:
                expiry = b"2099-01-01T00:00:00Z"
                return reply(b"", b"X-Amzn-SageMaker-New-Session-Id: s-%s; Expires=%s" % (name.encode(), expiry))
            if body == b"end":
                return reply(b"", b"X-Amzn-SageMaker-Closed-Session-Id: s-%s" % name.encode())
            return reply(name.encode())

        return handler

    async def scenario(world: World) -> None:
        addresses = {name: await world.serve(name, stateful(name)) for name in "abc"}
        world.route(target("A", 1, **addresses))
        opened = (await world.ask(SessionId="NEW_SESSION"))["NewSessionId"]
        session = opened.partition(";")[0]
        holder = session.removeprefix("s-").encode()
        assert {(await world.ask(SessionId=session))["Body"] for _ in range(20)} == {holder}
        assert (await world.ask(b"end", SessionId=session))["ClosedSessionId"] == session
        with pytest.raises(AwsError, match="not found or has expired"):
            await world.ask(SessionId=session)

    run(platform, tmp_path, scenario)


def test_a_streamed_answer_is_passed_on_as_events(platform: Platform, tmp_path: Path) -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n"

    async def scenario(world: World) -> None:
        context = world.context("InvokeEndpointWithResponseStream")
        world.route(target("A", 1, i=await world.serve("a", lambda *_: chunked + b"3\r\ntwo\r\n0\r\n\r\n")))
        output = await invoke_endpoint_with_response_stream(context, EndpointName="e", Body=b"x")
        events = [event async for event in output["Body"]]
        assert b"".join(event["PayloadPart"]["Bytes"] for event in events) == b"onetwo"
        world.route(target("A", 1, i=await world.serve("b", lambda *_: reply(b"no", status=b"400 Bad Request"))))
        await asyncio.sleep(2 * FRESH_SECONDS)
        with pytest.raises(AwsError) as caught:
            await invoke_endpoint_with_response_stream(context, EndpointName="e", Body=b"x")
        assert caught.value.members["OriginalMessage"] == "no"

    run(platform, tmp_path, scenario)


def test_metrics_count_what_happened() -> None:
    invocations = [Invocation(200, 0.001, 0.0001, 2), Invocation(400, 0.002, 0.0001, 2), Invocation(0, 60.0, 0.0001, 2)]
    data = {one.name: one for one in summarise(invocations, {"EndpointName": "e"})}
    totals = {name: sum(v * c for v, c in zip(one.values, one.counts, strict=True)) for name, one in data.items()}
    assert totals["Invocations"] == 3
    assert totals["InvocationsPerInstance"] == 1.5
    assert (totals["Invocation4XXErrors"], totals["Invocation5XXErrors"], totals["InvocationModelErrors"]) == (1, 0, 2)
    assert totals["ModelLatency"] == 60_003_000
    assert data["ModelLatency"].unit == "Microseconds"
