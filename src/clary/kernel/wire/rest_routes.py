"""Routes of the REST protocols: from method, path, query and headers to the most specific operation.

A path's literal segments decide first, then the query literals of the URI (`?acl`, `?list-type=2`), then required query
and header members (`uploadId`, `x-amz-copy-source`). An operation whose query literals are there is never left for one
with fewer: `DELETE /bucket?analytics` without an id is a bad request, not a DeleteBucket.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from clary.kernel.core.errors import AwsError
from clary.kernel.wire.messages import Request
from clary.kernel.wire.models import Operation
from clary.kernel.wire.protocol_query import parse_form
from clary.kernel.wire.scalars import unquote

_LABEL = re.compile(r"\{(\w+)(\+?)\}")
_AWS_HOST = re.compile(r"(?P<bucket>[a-z0-9._-]+?)\.s3(?:[.-][a-z0-9.-]+)?")
_MOST_REMEMBERED = 4096
_LONGEST_REMEMBERED = 256
_IPV4 = re.compile(r"[0-9.]+")


@dataclass(slots=True)
class _Route:
    operation: Operation
    labels: tuple[str, ...]
    literals: dict[str, str]
    required_query: tuple[str, ...]
    required_headers: tuple[str, ...]


class _Path:
    """The routes that share a path, by the first query literal they ask for ("" for none)."""

    def __init__(self, template: str) -> None:
        segments = [segment for segment in template.split("/") if segment]
        self.literal_segments = sum(1 for segment in segments if "{" not in segment)
        self.greedy = "+}" in template
        self.regex = re.compile(_regex(template), re.DOTALL)
        self.routes: dict[str, list[_Route]] = {}

    def add(self, route: _Route) -> None:
        self.routes.setdefault(next(iter(route.literals), ""), []).append(route)

    @property
    def follows_from_path(self) -> bool:
        """Whether without a query the path alone decides, whatever the headers are."""
        return len(self.routes.get("", ())) == 1

    @property
    def is_alone(self) -> bool:
        """Whether the path alone decides, whatever the query and the headers are."""
        return len(self.routes) == 1 and self.follows_from_path

    def best(self, query: dict[str, str], request: Request) -> _Route | None:
        """The route that fits the query and headers best; None when every one asks for a literal that is not there."""
        candidates = list(self.routes.get("", ()))
        for key in query:
            if key in self.routes:
                candidates += [route for route in self.routes[key] if _has_literals(route, query)]
        if len(candidates) <= 1:
            return candidates[0] if candidates else None
        return max(candidates, key=lambda route: _rank(route, query, request))


def _regex(template: str) -> str:
    pattern, position = "", 0
    for label in _LABEL.finditer(template):
        pattern += re.escape(template[position : label.start()]) + ("(.+)" if label[2] else "([^/]+)")
        position = label.end()
    pattern += re.escape(template[position:].rstrip("/"))
    return pattern if pattern.endswith("(.+)") else pattern + "/?"


class RestRoutes:
    """The routes of some services' operations."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        by_regex: dict[tuple[str, str], _Path] = {}
        for operation in operations:
            template, _, query = operation.uri.partition("?")
            path = by_regex.setdefault((operation.method, _regex(template)), _Path(template))
            members = [operation.input.members[name] for name in operation.input.required] if operation.input else []
            path.add(
                _Route(
                    operation,
                    tuple(label[1] for label in _LABEL.finditer(template)),
                    dict(parse_form(query)),
                    tuple(use.key for use in members if use.location == "querystring"),
                    tuple(use.key.lower() for use in members if use.location == "header"),
                )
            )
        self._by_method: dict[str, list[_Path]] = {}
        for (method, _), path in by_regex.items():
            self._by_method.setdefault(method, []).append(path)
        for paths in self._by_method.values():
            paths.sort(key=lambda path: (-path.literal_segments, path.greedy))
        self._remembered: dict[tuple[str, str], tuple[Operation, dict[str, str]]] = {}
        self._remembered_alone: dict[tuple[str, str], tuple[Operation, dict[str, str]]] = {}

    def find(self, request: Request, path: str) -> tuple[Operation, dict[str, str]] | None:
        """The operation and its decoded labels, which are not to be changed; or None."""
        known = self._remembered_alone if request.query else self._remembered
        remembered = known.get((request.method, path))
        if remembered is not None:
            return remembered
        query = dict(parse_form(request.query)) if request.query else {}
        first = True
        for each in self._by_method.get(request.method, ()):
            match = each.regex.fullmatch(path)
            if match is None:
                continue
            route = each.best(query, request)
            if route is not None:
                labels = zip(route.labels, match.groups(), strict=True)
                found = route.operation, {label: _decoded(text) for label, text in labels}
                lasts = first and each.is_alone if request.query else each.follows_from_path
                if lasts and len(path) <= _LONGEST_REMEMBERED:
                    if len(known) >= _MOST_REMEMBERED:
                        known.clear()
                    known[request.method, path] = found
                return found
            first = False
        return None


def _has_literals(route: _Route, query: dict[str, str]) -> bool:
    return all(key in query and value in ("", query[key]) for key, value in route.literals.items())


def _rank(route: _Route, query: dict[str, str], request: Request) -> tuple[int, ...]:
    """How well a route whose path and literals match fits the rest of the request; larger is better."""
    missing = 0
    for key in route.required_query:
        if key not in query:
            missing += 1
    for key in route.required_headers:
        if key not in request.headers:
            missing += 1
    required = len(route.required_query) + len(route.required_headers)
    named = query.get("x-id") == route.operation.name  # SDKs of Smithy's name the operation so
    deprecated = bool(route.operation.traits.get("deprecated"))
    return len(route.literals), -missing, required, named, -deprecated


def _decoded(text: str) -> str:
    try:
        return unquote(text)
    except UnicodeError:
        raise AwsError("InvalidURI", "The path is not UTF-8, percent-encoded.", status=400) from None


def virtual_bucket(host: str, endpoint_hosts: tuple[str, ...]) -> str | None:
    """The bucket named by a virtual-hosted request's Host, or None for path style."""
    name = host.rsplit(":", 1)[0].lower() if not host.endswith("]") else host
    if name.startswith("[") or _IPV4.fullmatch(name):
        return None
    for endpoint in (*endpoint_hosts, "localhost"):
        if name == endpoint:
            return None
        if name.endswith("." + endpoint):
            bucket = name[: -len(endpoint) - 1].removesuffix(".s3")
            return None if bucket == "s3" else bucket
    found = _AWS_HOST.fullmatch(name)
    return found["bucket"] if found else None
