"""Cross-origin rules of S3 buckets: preflight answers, and headers on the answers to requests with an Origin."""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from clary.kernel.rooms import Platform
from clary.kernel.wire import Request, Response
from clary.kernel.wire.bindings import header_value

_Rule = Mapping[str, Any]


def preflight(platform: Platform, request: Request) -> Response:
    """The answer to a browser's OPTIONS request."""
    origin = request.headers.get("origin")
    method = request.headers.get("access-control-request-method")
    wanted = [name.strip().lower() for name in request.headers.get("access-control-request-headers", "").split(",")]
    wanted = [name for name in wanted if name]
    if origin is None or method is None:
        return Response(400, [], b"A preflight request names its Origin and its Access-Control-Request-Method.")
    rule = _find(platform, request, origin, method, wanted)
    if rule is None:
        return Response(403, [], b"CORSResponse: this CORS request is not allowed by the bucket's rules.")
    headers = [
        *_allowed(rule, origin),
        (b"access-control-allow-methods", header_value(", ".join(rule["AllowedMethods"]))),
    ]
    if wanted:
        headers.append((b"access-control-allow-headers", ", ".join(wanted).encode("latin-1", "replace")))
    if rule.get("MaxAgeSeconds") is not None:
        headers.append((b"access-control-max-age", str(rule["MaxAgeSeconds"]).encode()))
    return Response(200, headers)


def decorate(platform: Platform, request: Request, response: Response) -> None:
    """Add what lets a browser read the answer, where a rule of the bucket allows it."""
    origin = request.headers.get("origin")
    if origin is None:
        return
    rule = _find(platform, request, origin, request.method, [])
    if rule is not None:
        response.headers.extend(_allowed(rule, origin))
        if rule.get("ExposeHeaders"):
            response.headers.append((b"access-control-expose-headers", header_value(", ".join(rule["ExposeHeaders"]))))


def _find(platform: Platform, request: Request, origin: str, method: str, wanted: list[str]) -> _Rule | None:
    bucket = request.path.lstrip("/").partition("/")[0]
    for rule in platform.objects.cors_rules(bucket):
        allowed_headers = [pattern.lower() for pattern in rule.get("AllowedHeaders", [])]
        if (
            method in rule["AllowedMethods"]
            and any(fnmatchcase(origin, pattern) for pattern in rule["AllowedOrigins"])
            and all(any(fnmatchcase(name, pattern) for pattern in allowed_headers) for name in wanted)
        ):
            return rule
    return None


def _allowed(rule: _Rule, origin: str) -> list[tuple[bytes, bytes]]:
    if "*" in rule["AllowedOrigins"]:
        return [(b"access-control-allow-origin", b"*")]
    return [
        (b"access-control-allow-origin", origin.encode("latin-1", "replace")),
        (b"access-control-allow-credentials", b"true"),
        (b"vary", b"Origin, Access-Control-Request-Headers, Access-Control-Request-Method"),
    ]
