"""What uvicorn can do at best: an ASGI app that reads the request and answers with fixed or equal bytes."""

_FIXED = b"x" * 400


async def fixed(scope, receive, send):
    """Answer 400 bytes, about what GetCallerIdentity answers."""
    if scope["type"] == "http":
        await _read(receive)
        await _answer(send, _FIXED)


async def echo(scope, receive, send):
    """Answer what was sent."""
    if scope["type"] == "http":
        await _answer(send, await _read(receive))


async def stream(scope, receive, send):
    """Answer as many tokens as was asked for, each in a piece of its own."""
    if scope["type"] == "http":
        tokens = int(await _read(receive))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        for number in range(tokens):
            await send({"type": "http.response.body", "body": b"token %d\n" % number, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


async def _read(receive):
    body = b""
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


async def _answer(send, body):
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
