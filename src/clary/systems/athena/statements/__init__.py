"""What statements do, other than queries: one module for each family, a function `perform_...` for each statement."""
