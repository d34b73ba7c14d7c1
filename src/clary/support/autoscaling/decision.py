"""What to do about a target, of all that its policies wish. Pure.

- The bounds hold whatever a policy wishes.
- Of policies that wish for more, the one that wishes for most has its way.
- Target tracking takes capacity away only when all such policies would, and then as little as any of them would.
- After scaling out, until the cooldown is over, wishes are counted from the capacity before it: more is added only
  when it would have been asked for at once. A wish that takes the capacity added into account already counts from
  what there is. Nothing is taken away. After scaling in, nothing is taken away until the
  cooldown is over, while scaling out never waits for it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from clary.support.autoscaling.adjustments import Adjustment
from clary.support.autoscaling.records import Cooldown


@dataclass(frozen=True, slots=True)
class Wish:
    """What one policy wants now, why, and how long its cooldowns are.

    One that `tracks` has a say in whether capacity is taken away. One that `is_current` was measured with the capacity
    there is, and in a way that tells what this capacity does.
    """

    cause: str
    adjustment: Adjustment
    out_cooldown_seconds: float
    in_cooldown_seconds: float
    tracks: bool = False
    is_current: bool = False


@dataclass(frozen=True, slots=True)
class Limits:
    """The capacities there may be, and the directions that policies may go."""

    minimum: int
    maximum: int
    may_scale_out: bool = True
    may_scale_in: bool = True

    def clamp(self, capacity: int) -> int:
        return min(max(capacity, self.minimum), self.maximum)


@dataclass(frozen=True, slots=True)
class Choice:
    """The capacity to set, and why."""

    capacity: int
    cause: str
    cooldown_seconds: float


def correction(current: int, limits: Limits) -> Choice | None:
    """What brings a capacity back within its bounds; None when it is there."""
    if current < limits.minimum:
        return Choice(limits.minimum, f"minimum capacity was set to {limits.minimum}", 0.0)
    if current > limits.maximum:
        return Choice(limits.maximum, f"maximum capacity was set to {limits.maximum}", 0.0)
    return None


def choose(
    current: int, limits: Limits, wishes: Sequence[Wish], cooldown: Cooldown | None, now: float
) -> Choice | None:
    """The change to make now; None for none."""
    cooling = cooldown if cooldown is not None and now < cooldown.until else None
    base = cooling.base if cooling is not None and cooling.scaled_out else current
    more = [(limits.clamp(wish.adjustment.of(current if wish.is_current else base)), wish) for wish in wishes]
    more = [(wanted, wish) for wanted, wish in more if wanted > current]
    if more:
        wanted, wish = max(more, key=lambda item: item[0])
        return Choice(wanted, wish.cause, wish.out_cooldown_seconds) if limits.may_scale_out else None
    if cooling is not None or not limits.may_scale_in:
        return None
    all_wanted = [(limits.clamp(wish.adjustment.of(current)), wish) for wish in wishes]
    agreed = all(wanted < current for wanted, wish in all_wanted if wish.tracks)
    fewer = [(wanted, wish) for wanted, wish in all_wanted if wanted < current and (agreed or not wish.tracks)]
    if not fewer:
        return None
    wanted, wish = max(fewer, key=lambda item: item[0])
    return Choice(wanted, wish.cause, wish.in_cooldown_seconds)
