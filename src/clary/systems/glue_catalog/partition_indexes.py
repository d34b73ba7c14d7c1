"""Partition indexes: which keys one may have.

Partitions are stored in the order of their values, so that a filter on the first keys reads only what it asks for.
Indexes are kept, checked and shown; they make no filter faster.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from clary.kernel.core.errors import AwsError
from clary.systems.glue_catalog.lookup import already_exists, invalid

MOST_INDEXES = 3
_TYPES = ("string", "int", "bigint", "long", "smallint", "tinyint", "date", "timestamp", "decimal", "char", "varchar")


def index_keys(table: Mapping[str, Any], indexes: Mapping[str, Sequence[str]], index: Mapping[str, Any]) -> list[str]:
    """The keys of a new index of a table that has `indexes`. Raises InvalidInputException or AlreadyExistsException."""
    name, keys = index["IndexName"], list(index["Keys"])
    if name in indexes:
        raise already_exists(f"Index with the given indexName : {name} already exists")
    if len(indexes) >= MOST_INDEXES:
        raise AwsError(
            "ResourceNumberLimitExceededException", f"A table can have at most {MOST_INDEXES} partition indexes."
        )
    types = {key["Name"]: key.get("Type", "string").lower() for key in table.get("PartitionKeys") or ()}
    unknown = [key for key in keys if key not in types]
    if unknown or len(set(keys)) < len(keys):
        raise invalid(
            f"The keys of index {name} must be partition keys of the table ({', '.join(types) or 'it has none'}), each "
            f"once, and are {', '.join(keys)}"
        )
    for key in keys:
        if not types[key].startswith(_TYPES):
            raise invalid(f"Key {key} of index {name} has type {types[key]}, which no index can have")
    if sorted(keys) in map(sorted, indexes.values()):
        raise already_exists(f"An index with the keys {', '.join(keys)} exists already")
    return keys
