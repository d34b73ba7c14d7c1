"""What every decoder yields: rows of float32 features, with labels and weights where the data has them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from clary.runtime.errors import CustomerError

Floats = npt.NDArray[np.float32]


class FormatError(CustomerError):
    """The bytes are not what their content type says. The message names the place and the value."""


@dataclass
class Table:
    """`features` is a float32 matrix: a numpy array, or a scipy CSR matrix when the format is sparse."""

    features: Any
    labels: Floats | None = None
    weights: Floats | None = None
    groups: npt.NDArray[np.int64] | None = None

    @property
    def rows(self) -> int:
        return int(self.features.shape[0])

    @property
    def columns(self) -> int:
        return int(self.features.shape[1])

    @property
    def is_sparse(self) -> bool:
        return not isinstance(self.features, np.ndarray)

    def widened(self, columns: int) -> "Table":
        """The same rows with `columns` columns. Only sparse tables, whose width is a guess, may be widened."""
        if columns > self.columns and self.is_sparse:
            self.features.resize((self.rows, columns))
        return self


def concatenate(tables: Sequence[Table]) -> Table:
    """One table of all rows. Sparse parts grow to the widest; dense parts must agree, which the caller has checked."""
    if len(tables) == 1:
        return tables[0]
    if any(table.is_sparse for table in tables):
        import scipy.sparse

        columns = max(table.columns for table in tables)
        features: Any = scipy.sparse.vstack([table.widened(columns).features for table in tables], format="csr")
    else:
        features = np.concatenate([table.features for table in tables])
    return Table(
        features,
        labels=_joined([table.labels for table in tables]),
        weights=_joined([table.weights for table in tables]),
        groups=_joined([table.groups for table in tables]),
    )


def _joined(parts: Sequence[npt.NDArray[Any] | None]) -> Any:
    present = [part for part in parts if part is not None]
    if len(present) != len(parts):
        if present:
            raise FormatError(
                "some files carry labels, weights or qid and others do not; all files of a channel must agree"
            )
        return None
    return np.concatenate(present)
