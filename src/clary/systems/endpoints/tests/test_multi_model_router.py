"""Requests that name a model: which instance gets them, when the model is loaded, and what is said when it is not."""

import asyncio
import json
from collections import Counter
from pathlib import Path

import pytest

from clary.kernel.core.errors import AwsError
from clary.kernel.jobs.on_demand.words import model_id
from clary.kernel.rooms import Platform
from clary.kernel.serving.routes import SERIAL, Target
from clary.systems.endpoints.measures import Invocation, summarise
from clary.systems.endpoints.multi_model import BUSY_REQUESTS
from clary.systems.endpoints.router import FRESH_SECONDS
from clary.systems.endpoints.tests.test_router import World, reply, run


class Instance:
    """A model server and its shim, both scripted. What the shim loads, the server has."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.loaded: set[str] = set()
        self.told: Counter[str] = Counter()
        self.used: list[str] = []
        self.heads: list[str] = []
        self.answer = b'{"hit": false}'
        self.status = b"200 OK"

    async def start(self) -> tuple[str, str]:
        return await self.world.serve(self.name, self.serve), await self.world.serve(f"{self.name}-shim", self.shim)

    def serve(self, head: str, body: bytes) -> bytes:
        self.heads.append(head)
        identity = head.split("/")[2]
        if identity not in self.loaded:
            return reply(b"not loaded", status=b"404 Not Found")
        return reply(f"{self.name}:{body.decode()}".encode())

    def shim(self, head: str, body: bytes) -> bytes:
        path, said = head.split()[1], json.loads(body)
        self.told[path] += 1
        if path == "/load":
            if self.status.startswith(b"200"):
                self.loaded.add(model_id(said["model"]))
            return reply(self.answer, status=self.status)
        if path == "/used":
            self.used += said["models"]
        return b"HTTP/1.1 204 No Content\r\n\r\n"


async def instances(world: World, *names: str, kept: bool = True) -> list[Instance]:
    made = [Instance(world, name) for name in names]
    places = {instance.name: await instance.start() for instance in made}
    servers = {name: [server] for name, (server, _) in places.items()}
    loaders = {name: shim for name, (_, shim) in places.items()}
    world.route(Target("A", 1, len(names), servers, ["primary"], many="primary", loaders=loaders, kept=kept))
    return made


async def until(condition) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)


def test_a_model_is_loaded_once_and_then_asked_at_once(platform: Platform, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        (one,) = await instances(world, "one")
        for number in range(5):
            assert (await world.ask(b"%d" % number, TargetModel="sub/m 1.tar.gz"))["Body"] == b"one:%d" % number
        assert one.told["/load"] == 1
        assert one.heads[0].startswith(f"POST /models/{model_id('sub/m 1.tar.gz')}/invoke HTTP/1.1\r\n")
        assert "\r\nX-Amzn-SageMaker-Target-Model: sub/m 1.tar.gz\r\n" in one.heads[0]
        await until(lambda: one.told["/release"] == 1 and one.used == ["sub/m 1.tar.gz"])
        one.loaded.clear()
        assert (await world.ask(b"again", TargetModel="sub/m 1.tar.gz"))["Body"] == b"one:again"
        assert (one.told["/load"], len(one.heads)) == (2, 7)

    run(platform, tmp_path, scenario)


def test_models_that_are_not_kept_are_loaded_for_every_request(platform: Platform, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        (one,) = await instances(world, "one", kept=False)
        for _ in range(3):
            assert (await world.ask(TargetModel="m"))["Body"] == b"one:x"
        await until(lambda: one.told == {"/load": 3, "/release": 3})

    run(platform, tmp_path, scenario)


def test_a_model_stays_on_its_instance_until_that_is_busy(platform: Platform, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        made = await instances(world, "a", "b", "c")
        names = [f"model-{number}" for number in range(30)]
        for name in names * 2:
            await world.ask(TargetModel=name)
        assert sum(one.told["/load"] for one in made) == len(names)
        assert all(one.loaded for one in made)
        holder = next(one for one in made if model_id("model-0") in one.loaded)
        hold, reached = asyncio.Event(), []

        async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            reached.append(1)
            await hold.wait()
            writer.write(reply(b"late"))
            writer.close()

        server = await asyncio.start_unix_server(slow, tmp_path / "slow")
        servers = {one.name: [f"unix:{tmp_path}/{one.name}"] for one in made}
        servers[holder.name] = [f"unix:{tmp_path}/slow"]
        loaders = {one.name: f"unix:{tmp_path}/{one.name}-shim" for one in made}
        world.route(Target("A", 1, 3, servers, ["primary"], many="primary", loaders=loaders))
        await asyncio.sleep(2 * FRESH_SECONDS)
        waiting = [asyncio.create_task(world.ask(TargetModel="model-0")) for _ in range(BUSY_REQUESTS + 1)]
        await until(lambda: len(reached) == BUSY_REQUESTS + 1)
        await until(lambda: sum(model_id("model-0") in one.loaded for one in made) == 2)
        assert (await world.ask(TargetModel="model-0"))["Body"] != b"late"
        hold.set()
        assert {answer["Body"] for answer in await asyncio.gather(*waiting)} == {b"late"}
        server.close()

    run(platform, tmp_path, scenario)


def test_what_is_not_loaded_is_explained(platform: Platform, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        (one,) = await instances(world, "one")
        for status, fault, code, message in (
            (b"422 No", "data", "ValidationError", "Failed to download model data. it is not there"),
            (b"502 No", "refused", "ModelError", r"Received server error \(507\) from primary"),
            (b"504 No", "loading", "ModelNotReadyException", "try your request again"),
            (b"503 No", "gone", "ServiceUnavailable", "can be reached"),
        ):
            one.status = status
            one.answer = json.dumps({"fault": fault, "message": "it is not there", "status": 507}).encode()
            with pytest.raises(AwsError, match=message) as caught:
                await world.ask(TargetModel="m")
            assert caught.value.code == code
        with pytest.raises(AwsError, match="missing a target model header"):
            await world.ask()
        place = f"unix:{tmp_path}/one"
        world.route(Target("A", 1, 1, {"one": [place]}))
        await asyncio.sleep(2 * FRESH_SECONDS)
        with pytest.raises(AwsError, match='"e" is not a multi-model endpoint'):
            await world.ask(TargetModel="m")

    run(platform, tmp_path, scenario)


def test_one_container_of_a_pipeline_may_have_many_models(platform: Platform, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        many = Instance(world, "many")
        server, shim = await many.start()
        before = await world.serve("before", lambda head, body: reply(body + b"!"))
        world.route(
            Target("A", 1, 1, {"i": [before, server]}, ["first", "second"], SERIAL, many="second", loaders={"i": shim})
        )
        assert (await world.ask(TargetModel="m"))["Body"] == b"many:x!"

    run(platform, tmp_path, scenario)


def test_metrics_of_models() -> None:
    invocations = [
        Invocation(200, 0.001, 0.0001, 1, hit=False, loading_seconds=2.0),
        Invocation(200, 0.001, 0.0001, 1, hit=True),
        Invocation(200, 0.001, 0.0001, 1),
    ]
    data = {one.name: one for one in summarise(invocations, {})}
    assert dict(zip(data["ModelCacheHit"].values, data["ModelCacheHit"].counts, strict=True)) == {0.0: 1, 1.0: 1}
    assert set(data["ModelLoadingWaitTime"].values) == {0, 2_000_000}
    assert data["ModelLoadingWaitTime"].unit == "Microseconds"
    assert "ModelCacheHit" not in {one.name for one in summarise(invocations[2:], {})}
