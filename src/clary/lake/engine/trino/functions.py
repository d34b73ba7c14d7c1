"""What Trino has and DuckDB has no words for: functions of Python, which a connection is given when a query calls them.

They see the rows of a query as Python's values, so they are slower by far than macros.
"""

import hmac
import zlib
from collections.abc import Callable
from hashlib import sha512
from typing import Any, NamedTuple

from clary.lake.engine.trino import addresses, distributions, summaries


class Function(NamedTuple):
    """A function of values none of which is NULL; with one that is, it is not called, and the result is NULL."""

    called: Callable[..., Any]
    arguments: tuple[str, ...]
    result: str


def add(connection: Any, name: str) -> None:
    """Have a connection know the function of `FUNCTIONS` that has this name."""
    import pyarrow as pa

    function = FUNCTIONS[name]
    kind = {
        "BIGINT": pa.int64(), "BLOB": pa.binary(), "DOUBLE": pa.float64(), "VARCHAR": pa.string(),
        "BIGINT[]": pa.list_(pa.int64()), "DOUBLE[][]": pa.list_(pa.list_(pa.float64())),
    }[function.result]  # fmt: skip

    def each(*columns: Any) -> Any:
        rows = zip(*(column.to_pylist() for column in columns), strict=True)
        return pa.array([None if None in row else function.called(*row) for row in rows], kind)

    # DuckDB counts the parameters that a function names.
    named: Callable[..., Any] = (
        lambda a: each(a),
        lambda a, b: each(a, b),
        lambda a, b, c: each(a, b, c),
    )[len(function.arguments) - 1]
    arguments = [connection.sqltype(argument) for argument in function.arguments]
    connection.create_function(
        name, named, arguments, connection.sqltype(function.result), type="arrow", null_handling="special"
    )


def _xxhash64(data: bytes) -> bytes:
    import xxhash

    return xxhash.xxh64_digest(data)


def _murmur3(data: bytes) -> bytes:
    import mmh3

    return mmh3.hash_bytes(data)


def _hmac_by(name: str) -> Callable[[bytes, bytes], bytes]:
    """HMAC by a hash of this name, of data and a key."""
    return lambda data, key: hmac.digest(key, data, name)


FUNCTIONS: dict[str, Function] = {
    "trino_crc32": Function(zlib.crc32, ("BLOB",), "BIGINT"),
    "trino_sha512": Function(lambda data: sha512(data).digest(), ("BLOB",), "BLOB"),
    "trino_xxhash64": Function(_xxhash64, ("BLOB",), "BLOB"),
    "trino_murmur3": Function(_murmur3, ("BLOB",), "BLOB"),
    **{
        f"trino_hmac_{name}": Function(_hmac_by(name), ("BLOB", "BLOB"), "BLOB")
        for name in ("md5", "sha1", "sha256", "sha512")
    },
    "trino_py_normal_cdf": Function(distributions.normal_cdf, ("DOUBLE",) * 3, "DOUBLE"),
    "trino_py_inverse_normal_cdf": Function(distributions.inverse_normal_cdf, ("DOUBLE",) * 3, "DOUBLE"),
    "trino_py_beta_cdf": Function(distributions.beta_cdf, ("DOUBLE",) * 3, "DOUBLE"),
    "trino_py_ip": Function(addresses.address, ("VARCHAR",), "BLOB"),
    "trino_py_ip_text": Function(addresses.text, ("BLOB",), "VARCHAR"),
    "trino_network_wrong": Function(lambda said: addresses.network(said)[0], ("VARCHAR",), "VARCHAR"),
    "trino_network_first": Function(lambda said: addresses.network(said)[1], ("VARCHAR",), "BLOB"),
    "trino_network_last": Function(lambda said: addresses.network(said)[2], ("VARCHAR",), "BLOB"),
    "trino_weighted_places": Function(summaries.weighted_places, ("DOUBLE[]", "DOUBLE[]"), "BIGINT[]"),
    "trino_histogram": Function(summaries.histogram, ("DOUBLE[]", "DOUBLE[]", "BIGINT"), "DOUBLE[][]"),
    "trino_py_t_cdf": Function(distributions.t_cdf, ("DOUBLE",) * 2, "DOUBLE"),
}
