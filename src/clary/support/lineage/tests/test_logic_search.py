"""The search finds what a plain search of the whole graph finds, whatever the pages, each thing once."""

from collections.abc import Callable, Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.support.lineage.logic_search import Page, Place, Step, TooLarge, search

Edges = set[tuple[str, str]]
DIRECTIONS = ("Ascendants", "Descendants", "Both")
NAMES = "abcdefgh"

graphs = st.sets(st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)).filter(lambda edge: edge[0] != edge[1]))


def following(edges: Edges, direction: str) -> Callable[[str, str], Iterable[Step]]:
    def follow(vertex: str, after: str) -> Iterable[Step]:
        steps = [
            Step(source, destination, "", vertex, to, to)
            for source, destination in edges
            for at, to, barred in ((source, destination, "Ascendants"), (destination, source, "Descendants"))
            if at == vertex and to > after and direction != barred
        ]
        return sorted(steps, key=lambda step: step.to)

    return follow


def pages(edges: Edges, direction: str, depth: int, limit: int, wanted: set[str] | None) -> list[Page]:
    found: list[Page] = []
    behind: Place | None = None
    while True:
        page = search(
            "a",
            following(edges, direction),
            None if wanted is None else lambda vertex, type_name: vertex in wanted and type_name == vertex,
            depth=depth,
            limit=limit,
            behind=behind,
            most_steps=1000,
        )
        found.append(page)
        if page.last is None:
            return found
        behind = page.last


def hops(edges: Edges, direction: str) -> set[tuple[str, str]]:
    """From where to where one may go."""
    forward, backward = edges, {(destination, source) for source, destination in edges}
    return {"Descendants": forward, "Ascendants": backward, "Both": forward | backward}[direction]


def distances(edges: Edges, direction: str, depth: int) -> dict[str, int]:
    """By relaxing every edge, again and again."""
    known = {"a": 0}
    for _ in range(depth):
        for source, destination in hops(edges, direction):
            if source in known and known[source] < depth:
                known[destination] = min(known.get(destination, depth + 1), known[source] + 1)
    return known


@given(graphs, st.sampled_from(DIRECTIONS), st.integers(1, 5), st.integers(1, 4))
def test_without_filters_all_that_is_near_and_every_edge_comes_once(edges, direction, depth, limit):
    found = pages(edges, direction, depth, limit, None)
    near = distances(edges, direction, depth)
    order = [vertex for page in found for vertex in page.found]
    assert order == sorted(near.keys() - {"a"}, key=lambda vertex: (near[vertex], vertex))
    assert [vertex for page in found for vertex in page.among] == ["a", *order]
    assert all(len(page.found) == limit for page in found[:-1])
    followed = [(step.source, step.destination) for page in found for step in page.steps]
    left = {vertex for vertex, distance in near.items() if distance < depth}
    along = {edge for edge in edges if direction != "Ascendants" and edge[0] in left}
    against = {edge for edge in edges if direction != "Descendants" and edge[1] in left}
    assert sorted(followed) == sorted(along | against)


@given(graphs, st.sampled_from(DIRECTIONS), st.integers(1, 5), st.integers(1, 4), st.sets(st.sampled_from(NAMES)))
def test_with_filters_a_page_holds_matches_and_the_shortest_paths_to_them(edges, direction, depth, limit, wanted):
    near = distances(edges, direction, depth)
    found = pages(edges, direction, depth, limit, wanted)
    matches = sorted((near.keys() & wanted) - {"a"}, key=lambda vertex: (near[vertex], vertex))
    assert [vertex for page in found for vertex in page.found] == matches
    way = hops(edges, direction)
    for page in found:
        used = {(step.at, step.to) for step in page.steps}
        assert used == {hop for vertex in page.found for path in shortest(way, near, vertex) for hop in pairwise(path)}
        ends = {end for hop in used for end in hop}
        assert set(page.among) - {"a"} == (set(page.found) | ends) - {"a"}


def shortest(way: Edges, near: dict[str, int], vertex: str) -> Iterable[list[str]]:
    if vertex == "a":
        yield ["a"]
    for source, destination in way:
        if destination == vertex and near.get(source, 99) == near[vertex] - 1:
            yield from ([*path, vertex] for path in shortest(way, near, source))


def test_a_search_stops_where_its_page_is_full():
    asked: list[str] = []

    def follow(vertex: str, after: str) -> Iterable[Step]:
        asked.append(vertex)
        for number in range(10):
            child = f"{vertex}{number}"
            yield Step(vertex, child, "", vertex, child, "")

    page = search("a", follow, None, depth=10, limit=10, most_steps=1000)
    assert page.last == (1, "a9")
    assert asked == ["a", *(f"a{number}" for number in range(10))], "one level more, to know that there is more"
    with pytest.raises(TooLarge):
        search("a", follow, lambda *_: False, depth=10, limit=10, most_steps=1000)


def test_a_vertex_with_very_many_edges_costs_what_the_page_costs():
    taken = 0

    def follow(vertex: str, after: str) -> Iterable[Step]:
        nonlocal taken
        for number in range(1_000_000):
            to = f"{number:07d}"
            if vertex == "hub" and to > after:
                taken += 1
                yield Step("hub", to, "", "hub", to, "")

    first = search("hub", follow, None, depth=3, limit=5, most_steps=10)
    assert first.found == [f"{number:07d}" for number in range(5)]
    again = search("hub", follow, None, depth=3, limit=5, behind=first.last, most_steps=10)
    assert again.found == [f"{number:07d}" for number in range(5, 10)]
    assert (len(first.steps), len(again.steps), taken) == (5, 5, 12)
