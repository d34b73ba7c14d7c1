"""A lineage query as a search through a graph: breadth first, level by level, and no further than a page needs. Pure.

Vertices have an order: by their distance from the start, then by name. So a page goes on behind the last vertex of the
one before, whatever comes and goes in between. An edge stands where the vertex stands that it leads to for the first
time; one that leads to nothing new, at the end of that level.

The edges of a vertex come in the order of what they lead to, so that those of a level are merged and followed until the
page is full: a vertex with very many, such as an image that every job uses, costs no more than the page.
"""

import heapq
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import takewhile

Place = tuple[int, str]
Follow = Callable[[str, str], Iterable["Step"]]
"""The edges to go along from a vertex that lead behind a name, in the order of the vertices that they lead to."""

_END = "\U0010ffff"  # behind every name


@dataclass(frozen=True, slots=True)
class Step:
    """An edge as it was followed: `at` is the vertex it was found at, `to` the other end."""

    source: str
    destination: str
    type: str
    at: str
    to: str
    to_type: str


@dataclass(frozen=True, slots=True)
class Page:
    """`found` are the vertices asked for, in order, `among` those and the ones on the paths to them, and `steps` the
    edges of those paths. `types` are those of all but the start. `last` is where the next page goes on, None when there
    is none.
    """

    found: list[str]
    among: list[str]
    steps: list[Step]
    types: dict[str, str]
    last: Place | None


@dataclass(slots=True)
class Reach:
    """What a search has come to: the distance of each vertex from the start, and the edges followed so far."""

    start: str
    distance: dict[str, int] = field(default_factory=dict)
    types: dict[str, str] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)

    def place(self, vertex: str) -> Place:
        return self.distance[vertex], vertex

    def place_of_step(self, step: Step) -> Place:
        behind = self.distance[step.at] + 1
        return (behind, step.to) if self.distance[step.to] == behind else (behind, _END)


class TooLarge(Exception):
    """The search came upon more edges than it may follow."""


def search(
    start: str,
    follow: Follow,
    wanted: Callable[[str, str], bool] | None,
    *,
    depth: int,
    limit: int,
    behind: Place | None = None,
    most_steps: int,
) -> Page:
    """The first `limit` vertices behind a place that are at most `depth` edges from `start` and `wanted`.

    `wanted` gets a vertex and its type; None wants all, and then `steps` are all edges that leave a vertex nearer than
    `depth`, each on one page. With `wanted`, they are those of the shortest paths to what the page found. Raises
    TooLarge when more than `most_steps` edges would be followed.
    """
    reach = Reach(start, {start: 0})
    frontier, found = [start], list[str]()
    for level in range(1, depth + 1):
        after = behind[1] if behind is not None and behind[0] == level else ""
        fresh: list[str] = []
        for vertex in _advance(reach, _merged(frontier, follow, after), level, most_steps):
            fresh.append(vertex)
            if behind is not None and reach.place(vertex) <= behind:
                continue
            if wanted is None or wanted(vertex, reach.types[vertex]):
                found.append(vertex)
                if len(found) > limit:
                    break
        if len(found) > limit:
            break
        if after:  # the level was begun by the page before; what follows needs all of it
            begun = _up_to(after, _merged(frontier, follow, ""))
            fresh.extend(_advance(reach, begun, level, most_steps))
        frontier = sorted(fresh)
        if not frontier:
            break
    page = found[:limit]
    last = reach.place(page[-1]) if len(found) > limit else None
    steps = _all_between(reach, behind, last) if wanted is None else _shortest(reach, page)
    among = {*page} if wanted is None else {*page, *(end for step in steps for end in (step.at, step.to))}
    if behind is None:
        among.add(start)
    return Page(page, sorted(among, key=reach.place), steps, reach.types, last)


def _merged(frontier: Iterable[str], follow: Follow, after: str) -> Iterator[Step]:
    """The edges of a level, in the order of what they lead to."""
    return heapq.merge(*(follow(vertex, after) for vertex in frontier), key=lambda step: step.to)


def _up_to(name: str, steps: Iterable[Step]) -> Iterator[Step]:
    return takewhile(lambda step: step.to <= name, steps)


def _advance(reach: Reach, steps: Iterable[Step], level: int, most_steps: int) -> Iterator[str]:
    """Follow edges of a level, one after the other as they are asked for; yield the vertices that are new."""
    for step in steps:
        reach.steps.append(step)
        if len(reach.steps) > most_steps:
            raise TooLarge
        if step.to not in reach.distance:
            reach.distance[step.to] = level
            reach.types[step.to] = step.to_type
            yield step.to


def _all_between(reach: Reach, behind: Place | None, last: Place | None) -> list[Step]:
    """Edges that stand on a page, each once although it may have been followed from both ends."""
    places: dict[tuple[str, str], tuple[Place, Step]] = {}
    for step in reach.steps:
        key, place = (step.source, step.destination), reach.place_of_step(step)
        if key not in places or place < places[key][0]:
            places[key] = place, step
    return [
        step
        for place, step in places.values()
        if (behind is None or place > behind) and (last is None or place <= last)
    ]


def _shortest(reach: Reach, page: Iterable[str]) -> list[Step]:
    """The edges of all shortest paths from the start to these vertices."""
    arriving: dict[str, list[Step]] = {}
    for step in reach.steps:
        if reach.distance[step.to] == reach.distance[step.at] + 1:
            arriving.setdefault(step.to, []).append(step)
    steps: dict[tuple[str, str], Step] = {}
    pending, seen = list(page), set(page)
    while pending:
        for step in arriving.get(pending.pop(), ()):
            steps[step.source, step.destination] = step
            if step.at not in seen:
                seen.add(step.at)
                pending.append(step.at)
    return list(steps.values())
