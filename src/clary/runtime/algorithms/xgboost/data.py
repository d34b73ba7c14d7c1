"""XGBoost's channels as DMatrix: train is required, validation optional."""

from dataclasses import dataclass

import numpy as np
import xgboost

from clary.runtime.algorithms.channels import open_channel
from clary.runtime.errors import CustomerError
from clary.runtime.formats import content_types
from clary.runtime.formats.table import Table
from clary.runtime.paths import MlPaths
from clary.runtime.toolkit.description import JobDescription


@dataclass
class Shard:
    """This host's rows. A None table of a channel that the job has means that the other hosts hold all of it."""

    train: Table | None
    validation: Table | None
    has_validation: bool

    @property
    def columns(self) -> int:
        return max((table.columns for table in (self.train, self.validation) if table is not None), default=0)


def read_shard(paths: MlPaths, job: JobDescription, weighted_csv: bool) -> Shard:
    """Read both channels. Raises CustomerError when there is no train channel, or no data in it on a single host."""
    train = open_channel(paths, job, "train", content_types.LIBSVM)
    if train is None:
        given = ", ".join(sorted(job.channels)) or "none"
        raise CustomerError(f"Customer Error: XGBoost needs a channel named 'train'; the channels given are: {given}")
    validation = open_channel(paths, job, "validation", content_types.LIBSVM)
    shard = Shard(
        train.read(weighted_csv),
        validation.read(weighted_csv) if validation else None,
        has_validation=validation is not None,
    )
    if len(job.hosts) == 1:
        for channel, table in ((train, shard.train), (validation, shard.validation)):
            if channel is not None and table is None:
                raise CustomerError(f"Customer Error: channel {channel.name!r} holds no data: no file in it has a row")
    return shard


def matrix(table: Table | None, columns: int, threads: int, name: str) -> xgboost.DMatrix:
    """The table with `columns` columns, or no rows when it is None. Raises CustomerError if a dense one has others."""
    if table is None:
        return xgboost.DMatrix(np.empty((0, columns), dtype=np.float32), label=np.empty(0, dtype=np.float32))
    table.widened(columns)
    if table.columns != columns:
        raise CustomerError(
            f"Customer Error: channel {name!r} has {table.columns} features, but other data of this job has {columns}"
        )
    if table.labels is not None and np.isnan(table.labels).any():
        row = int(np.isnan(table.labels).argmax())
        raise CustomerError(f"Customer Error: channel {name!r} has a row without a label (data row {row + 1})")
    return xgboost.DMatrix(table.features, label=table.labels, weight=table.weights, qid=table.groups, nthread=threads)
