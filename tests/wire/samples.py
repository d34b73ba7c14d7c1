"""Values that fit a shape, made from it: the same in every run, covering every member."""

import hashlib
from typing import Any

from clary.kernel.wire.models import Member, Shape

INSTANT = 1_700_000_000.0


class Samples:
    """Makes one value a shape. Recursive shapes end at their second level; every scalar is told apart by its path."""

    def value(self, use: Member, path: str = "", above: tuple[str, ...] = ()) -> Any:
        shape = use.shape
        if shape.document:
            return {"document": [path, 1, True, None, {"nested": 1.5}]}
        if shape.type == "structure":
            return self.structure(shape, path, above)
        if shape.type == "list":
            if shape.name in above:
                return []
            inner = self.value(shape.member, path + ".1", (*above, shape.name))
            return [inner] if shape.max == 1 or shape.member.shape.enum else [inner, self._second(shape, path, above)]
        if shape.type == "map":
            if shape.name in above:
                return {}
            if use.location == "headers":
                return {"one": "text-1", "two-2": "text, 2"}
            key = self.scalar(shape.key, path + ".key")
            return {key: self.value(shape.value, path + ".value", (*above, shape.name))}
        return self.scalar(use, path)

    def _second(self, shape: Shape, path: str, above: tuple[str, ...]) -> Any:
        return self.value(shape.member, path + ".2", (*above, shape.name))

    def structure(self, shape: Shape, path: str = "", above: tuple[str, ...] = (), *, skip: str = "") -> dict[str, Any]:
        """Every member but `skip`; one member of a union; nothing optional below a shape that is already above."""
        members = [use for use in shape.members.values() if use.name != skip and not use.shape.event_stream]
        if shape.name in above:
            members = [use for use in members if use.name in shape.required and not _holds(use.shape, shape)]
        if shape.union:
            # any member will do; take one that does not lead back to the union
            members = sorted(members, key=lambda use: _holds(use.shape, shape))[:1]
        return {use.name: self.value(use, f"{path}.{use.name}", (*above, shape.name)) for use in members}

    def scalar(self, use: Member, path: str) -> Any:
        shape = use.shape
        mark = hashlib.sha256(path.encode()).digest()
        if shape.type == "boolean":
            return bool(mark[0] & 1)
        if use.location == "statusCode":
            return 202
        if shape.type in ("integer", "long"):
            return int(min(max(mark[0] * 3, shape.min or 0), shape.max if shape.max is not None else 2**31 - 1))
        if shape.type in ("float", "double"):
            return float(min(max(mark[0] / 4, shape.min or 0), shape.max if shape.max is not None else 1e9))
        if shape.type == "timestamp":
            return INSTANT + mark[0]
        if shape.type == "blob":
            return b"blob \x00\xff " + mark[:3]
        if use.jsonvalue and use.location == "header":
            return {"json": path}
        if shape.enum:
            return shape.enum[mark[0] % len(shape.enum)]
        if use.location in ("header", "headers", "uri", "querystring"):
            return f"text-{mark[:3].hex()}"
        return f"é<&>\"' ü {mark[:3].hex()}"


def _holds(shape: Shape, other: Shape) -> bool:
    seen, waiting = set(), [shape]
    while waiting:
        each = waiting.pop()
        if each is other:
            return True
        if each.name not in seen:
            seen.add(each.name)
            waiting.extend(part.shape for part in each.parts)
    return False
