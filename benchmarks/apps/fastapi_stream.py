"""A stream of tokens from a generator, as FastAPI's documentation does it."""

from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse

app = FastAPI()


@app.post("/stream")
async def stream(request: Request) -> StreamingResponse:
    tokens = int(await request.body())
    return StreamingResponse((b"token %d\n" % number for number in range(tokens)), media_type="text/plain")
