"""What is Clary's own, beside AWS: `GET /_clary/health`, documents that rooms serve to everyone, and on ephemeral
servers `POST /_clary/reset`."""

import asyncio

import orjson

from clary import __version__
from clary.kernel.rooms import Platform
from clary.kernel.wire import Request, Response

PREFIX = "/_clary/"
_JSON = [(b"content-type", b"application/json")]


async def answer(platform: Platform, request: Request) -> Response:
    """The answer to a request below PREFIX."""
    match request.method, request.path.removeprefix(PREFIX):
        case "GET", "health":
            return _json(200, {"status": "ok", "version": __version__})
        case "POST", "reset" if not platform.settings.ephemeral:
            return _json(403, {"error": "Only a server started with `clary up --ephemeral` can be reset."})
        case "POST", "reset" if "origin" in request.headers:
            return _json(403, {"error": "A web page may not reset the server."})
        case "POST", "reset":
            await asyncio.to_thread(platform.reset)
            return _json(200, {"status": "empty"})
    document = platform.registry.documents.get(request.path.removeprefix(PREFIX))
    if request.method == "GET" and document is not None:
        served, make = document
        body = await asyncio.to_thread(make, platform)
        return Response(200, [(b"content-type", served.content_type.encode())], body)
    return _json(404, {"error": f"Clary has no {request.method} {request.path}."})


def _json(status: int, document: dict[str, str]) -> Response:
    return Response(status, list(_JSON), orjson.dumps(document))
