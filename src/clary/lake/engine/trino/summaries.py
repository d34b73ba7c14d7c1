"""What a group's values are summed up to, where DuckDB has no aggregate for it: one call for each group."""

from bisect import bisect_left
from collections import defaultdict
from heapq import heapify, heappop, heappush
from itertools import accumulate


def weighted_places(weights: list[float], shares: list[float]) -> list[int]:
    """For each share of all weight, the place of the first item up to which there is so much of it, counted from 1."""
    sums = list(accumulate(weights))
    return [min(bisect_left(sums, share * sums[-1]) + 1, len(sums)) for share in shares]


def histogram(values: list[float], weights: list[float], most: int) -> list[list[float]]:
    """Values and weights of at most so many buckets: those that are nearest, by what they weigh, become one."""
    totals: defaultdict[float, float] = defaultdict(float)
    for value, weight in zip(values, weights, strict=True):
        totals[value] += weight
    centres = sorted(totals)
    sums = [totals[centre] for centre in centres]
    count = len(centres)
    before, after, version = list(range(-1, count - 1)), list(range(1, count + 1)), [0] * count

    def cost(at: int) -> tuple[float, int, int]:
        one, other = sums[at], sums[after[at]]
        return (centres[at] - centres[after[at]]) ** 2 * one * other / (one + other), at, version[at]

    waiting = [cost(at) for at in range(count - 1)]
    heapify(waiting)
    left = count
    while left > most:
        _, at, known = heappop(waiting)
        if known != version[at]:
            continue
        other = after[at]
        total = sums[at] + sums[other]
        centres[at] = (centres[at] * sums[at] + centres[other] * sums[other]) / total
        sums[at], version[other], after[at] = total, -1, after[other]
        if after[at] < count:
            before[after[at]] = at
        for changed in (before[at], at):
            if changed >= 0:
                version[changed] += 1
                if after[changed] < count:
                    heappush(waiting, cost(changed))
        left -= 1
    kept = [at for at in range(count) if version[at] >= 0]
    return [[centres[at] for at in kept], [sums[at] for at in kept]]
