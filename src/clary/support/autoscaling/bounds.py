"""The capacities that a target may be given. Pure."""

from clary.kernel.core.errors import validation


def check_bounds(minimum: int | None, maximum: int | None, *, may_be_zero: bool) -> None:
    """Raise ValidationException for bounds that no capacity can keep; None stands for one that is not given."""
    for name, value in (("MinCapacity", minimum), ("MaxCapacity", maximum)):
        if value is not None and value < 0:
            raise validation(f"{name} must not be negative; got {value}.")
    if minimum is not None and maximum is not None and minimum > maximum:
        raise validation(f"MaxCapacity {maximum} must not be less than MinCapacity {minimum}.")
    if minimum == 0 and not may_be_zero:
        raise validation(
            "MinCapacity must be at least 1: only variants of asynchronous endpoints can have 0 instances."
        )
    if maximum == 0 and not may_be_zero:
        raise validation(
            "MaxCapacity must be at least 1: only variants of asynchronous endpoints can have 0 instances."
        )
