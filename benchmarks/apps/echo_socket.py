"""An HTTP server that costs next to nothing: answers what it is sent, on the Unix socket named by its argument."""

import asyncio
import sys

import httptools
import uvloop


class Echo(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport
        self.parser = httptools.HttpRequestParser(self)
        self.body = b""

    def data_received(self, data):
        self.parser.feed_data(data)

    def on_body(self, chunk):
        self.body += chunk

    def on_message_complete(self):
        head = b"HTTP/1.1 200 OK\r\ncontent-type: text/csv\r\ncontent-length: %d\r\n\r\n" % len(self.body)
        self.transport.write(head + self.body)
        self.body = b""


async def main():
    server = await asyncio.get_running_loop().create_unix_server(Echo, sys.argv[1])
    await server.serve_forever()


uvloop.run(main())
