"""Several requests answered by one prediction: their data joined row by row, the prediction split again.

What cannot be joined or split is predicted one by one, so that a request is answered as it would be alone, and a fault
is told to nobody but the request that has it.
"""

import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from clary.runtime.inference.calls import survived
from clary.runtime.inference.contract import Reply, Request

Outcome = Reply | Exception


def answer(
    requests: list[Request],
    read: Callable[[Request], Any],
    predict: Callable[[Any], Any],
    write: Callable[[Any, Any, Request], Reply],
) -> list[Outcome]:
    """The outcome of each request, in order: of `write(predict(data), data, request)` where `data = read(request)`."""
    outcomes: dict[int, Outcome] = {}
    data: dict[int, Any] = {}
    for number, request in enumerate(requests):
        try:
            data[number] = read(request)
        except BaseException as error:
            outcomes[number] = survived(error)
    groups: dict[Any, list[int]] = {}
    for number, value in data.items():
        kind = kind_of(value)
        groups.setdefault(number if kind is None else kind, []).append(number)
    for numbers in groups.values():
        predictions = _together([data[number] for number in numbers], predict) if len(numbers) > 1 else None
        for place, number in enumerate(numbers):
            try:
                prediction = predict(data[number]) if predictions is None else predictions[place]
                outcomes[number] = write(prediction, data[number], requests[number])
            except BaseException as error:
                outcomes[number] = survived(error)
    return [outcomes[number] for number in range(len(requests))]


def kind_of(value: Any) -> Any:
    """What must be equal for two values to be joined; None for one that is not rows.

    Rows are: the rows of a matrix, tensor or data frame, and the items of a list unless they are numbers, which may
    be the columns of a single row.
    """
    if isinstance(value, np.ndarray):
        return ("array", value.dtype.str, value.shape[1:]) if value.ndim >= 2 else None
    if isinstance(value, list):
        return "list" if value and not any(isinstance(item, int | float | complex) for item in value) else None
    name = _type_name(value)
    if name == "torch.Tensor":
        return (name, str(value.dtype), str(value.device), tuple(value.shape[1:])) if value.ndim >= 2 else None
    if name == "pandas.DataFrame":
        return (name, tuple(value.columns), tuple(map(str, value.dtypes)))
    if name.startswith("scipy.sparse."):
        return ("sparse", str(value.dtype), value.shape[1]) if value.ndim == 2 else None
    return None


def _together(parts: Sequence[Any], predict: Callable[[Any], Any]) -> list[Any] | None:
    """The prediction of each part, made at once; None when that fails, or what comes out is not one for each row."""
    sizes = [_rows(part) for part in parts]
    try:
        prediction = predict(_joined(parts))
        if kind_of(prediction) is None and not _is_column(prediction):
            return None
        return _split(prediction, sizes) if _rows(prediction) == sum(sizes) else None
    except BaseException:
        return None


def _is_column(prediction: Any) -> bool:
    """One number for each row, if there are as many as rows."""
    if isinstance(prediction, list) or _type_name(prediction) == "pandas.Series":
        return True
    is_array = isinstance(prediction, np.ndarray) or _type_name(prediction) == "torch.Tensor"
    return is_array and prediction.ndim == 1


def _rows(value: Any) -> int:
    return len(value) if isinstance(value, list) else int(value.shape[0])


def _joined(parts: Sequence[Any]) -> Any:
    first = parts[0]
    if isinstance(first, list):
        return [row for part in parts for row in part]
    if isinstance(first, np.ndarray):
        return np.concatenate(parts)
    name = _type_name(first)
    if name == "torch.Tensor":
        return sys.modules["torch"].cat(list(parts))
    if name == "pandas.DataFrame":
        return sys.modules["pandas"].concat(list(parts), ignore_index=True)
    import scipy.sparse

    return scipy.sparse.vstack(list(parts), format=first.format)


def _split(prediction: Any, sizes: Sequence[int]) -> list[Any]:
    ends = np.cumsum(sizes).tolist()
    starts = [0, *ends[:-1]]
    if _type_name(prediction).startswith("pandas."):
        return [prediction.iloc[start:end].reset_index(drop=True) for start, end in zip(starts, ends, strict=True)]
    return [prediction[start:end] for start, end in zip(starts, ends, strict=True)]


def _type_name(value: Any) -> str:
    """Such as "pandas.DataFrame", without loading pandas."""
    kind = type(value)
    package = kind.__module__.split(".")[0]
    inner = ".sparse" if kind.__module__.startswith("scipy.sparse") else ""
    return f"{package}{inner}.{kind.__name__}"
