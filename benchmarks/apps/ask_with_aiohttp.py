"""aiohttp's client on a Unix socket: SOCKET BODY CONNECTIONS COUNT; prints CPU seconds and seconds for each request."""

import asyncio
import sys
import time

import aiohttp
import uvloop


async def main(path, body, connections, count):
    connector = aiohttp.UnixConnector(path, limit=connections)
    async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as session:

        async def ask(times):
            for _ in range(times):
                async with session.post("http://model/invocations", data=body) as response:
                    assert await response.read() == body

        await ask(200)
        started, used = time.perf_counter(), time.process_time()
        await asyncio.gather(*(ask(count // connections) for _ in range(connections)))
        print((time.process_time() - used) / count, (time.perf_counter() - started) / count)


uvloop.run(main(sys.argv[1], sys.argv[2].encode(), int(sys.argv[3]), int(sys.argv[4])))
