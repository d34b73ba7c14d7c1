"""SageMaker SDK v3: feature groups of frames, one of them an Iceberg table, filled, looked up, queried and joined."""

import datetime
import json
import os
import tempfile
import uuid
from typing import Any

from purchases import DELETED, LEVELS, PURCHASES, levels, purchases, wait_for_rows
from sagemaker.core.helper.session_helper import Session, get_execution_role
from sagemaker.core.resources import FeatureGroup
from sagemaker.core.shapes import FeatureValue, OfflineStoreConfig, OnlineStoreConfig, S3StorageConfig
from sagemaker.mlops.feature_store import (
    DatasetBuilder,
    create_athena_query,
    ingest_dataframe,
    list_records,
    load_feature_definitions_from_dataframe,
)

os.chdir(tempfile.mkdtemp())  # the dataset builder downloads into the working directory
session = Session()
prefix = f"s3://{session.default_bucket()}/v3-features"
unique = uuid.uuid4().hex[:8]
begin = datetime.datetime.fromisoformat("2023-11-14T22:00:00+00:00")


# The SDK joins by time only where event times are numbers; tables of Iceberg are parted by those that are texts.
def moment(minute: int) -> float:
    return begin.timestamp() + 60 * minute


def text(minute: int) -> str:
    return f"{begin + datetime.timedelta(minutes=minute):%Y-%m-%dT%H:%M:%SZ}"


def create(name: str, frame: Any, event_time: str, table_format: str) -> FeatureGroup:
    group = FeatureGroup.create(
        feature_group_name=f"v3-{name}-{unique}",
        record_identifier_feature_name="customer",
        event_time_feature_name=event_time,
        feature_definitions=load_feature_definitions_from_dataframe(frame),
        online_store_config=OnlineStoreConfig(enable_online_store=True),
        offline_store_config=OfflineStoreConfig(
            s3_storage_config=S3StorageConfig(s3_uri=prefix), table_format=table_format
        ),
        role_arn=get_execution_role(),
    )
    group.wait_for_status("Created", poll=1, timeout=120)
    return group


def rows_of(group: FeatureGroup, statement: str) -> Any:
    query = create_athena_query(group.feature_group_name, session)
    query.run(statement.format(f'"{query.database}"."{query.table_name}"'), f"{prefix}/queries")
    query.wait()
    return query.as_dataframe()


def count(group: FeatureGroup) -> int:
    return int(rows_of(group, "SELECT count(*) AS n FROM {}")["n"][0])


bought = create("purchases", purchases(moment), "bought_at", "Glue")
reached = create("levels", levels(moment), "since", "Glue")
kept = create("kept", levels(text), "since", "Iceberg")
ingest_dataframe(bought.feature_group_name, purchases(moment), max_workers=2)
ingest_dataframe(reached.feature_group_name, levels(moment), max_workers=2, max_processes=2)
ingest_dataframe(kept.feature_group_name, levels(text), max_workers=2, use_batch_write_record=True)
reached.delete_record(record_identifier_value_as_string=DELETED[0], event_time=str(moment(DELETED[1])))
latest = {one.feature_name: one.value_as_string for one in reached.get_record("c1").record}
identifiers = sorted(list_records(bought.feature_group_name, max_results=100).record_identifiers)

rows = [
    wait_for_rows(lambda group=group, expected=expected: count(group), expected)
    for group, expected in ((bought, len(PURCHASES)), (reached, len(LEVELS) + 1), (kept, len(LEVELS)))
]
ranks = rows_of(kept, "SELECT customer, rank FROM {} WHERE since < '" + text(10) + "' ORDER BY customer")
everything = rows_of(reached, "SELECT * FROM {} ORDER BY since, customer")


def builder() -> DatasetBuilder:
    made = DatasetBuilder.create(base=bought, output_path=f"{prefix}/sets", session=session)
    return made.with_feature_group(reached).point_in_time_accurate_join()


joined, _ = builder().with_number_of_recent_records_by_record_identifier(1).to_dataframe()

bought.put_record(
    record=[
        FeatureValue(feature_name=name, value_as_string=value)
        for name, value in {"customer": "c9", "bought_at": str(moment(90)), "amount": "2.5"}.items()
    ],
    target_stores=["OfflineStore"],
)
rows.append(wait_for_rows(lambda: count(bought), len(PURCHASES) + 1))
listed = sorted(one.feature_group_name for one in FeatureGroup.get_all(name_contains=unique))
described = FeatureGroup.get(kept.feature_group_name)
for group in (bought, reached, kept):
    group.delete()
    group.wait_for_delete(poll=1, timeout=120)

print(
    json.dumps(
        {
            "types": [one.feature_type for one in described.feature_definitions],
            "format": described.offline_store_config.table_format,
            "latest": [latest["level"], latest["rank"]],
            "identifiers": identifiers,
            "rows": rows,
            "ranks": ranks.values.tolist(),
            "columns": list(everything),
            "marks": everything["is_deleted"].tolist(),
            "joined": {row["customer"]: [row["amount"], row["level.1"]] for _, row in joined.iterrows()},
            "listed": listed == sorted(group.feature_group_name for group in (bought, reached, kept)),
        }
    )
)
