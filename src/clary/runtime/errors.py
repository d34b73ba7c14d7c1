"""The one error of the runtime that is told without a traceback.

CustomerError   what the user gave (data, hyperparameters, code location, model) cannot work
"""


class CustomerError(Exception):
    """The message names what was wrong, the value, and what to do. Shown as it is, without a traceback."""
