"""SageMaker SDK v2: feature groups of two frames, filled, looked up, queried, joined point in time, deleted."""

import datetime
import json
import os
import tempfile
import uuid
from typing import Any

import sagemaker
from purchases import DELETED, LEVELS, PAUSE, PURCHASES, levels, purchases, wait_for_rows
from sagemaker.feature_store.feature_definition import IntegralFeatureDefinition
from sagemaker.feature_store.feature_group import FeatureGroup
from sagemaker.feature_store.feature_store import FeatureStore
from sagemaker.feature_store.inputs import FeatureParameter, FeatureValue, Filter, Identifier, ResourceEnum

os.chdir(tempfile.mkdtemp())  # the dataset builder downloads into the working directory
session = sagemaker.Session()
role = sagemaker.get_execution_role()
store = FeatureStore(session)
prefix = f"s3://{session.default_bucket()}/v2-features"
unique = uuid.uuid4().hex[:8]
begin = 1_700_000_000.0


def moment(minute: int) -> float:
    return begin + 60 * minute


def create(name: str, frame: Any, event_time: str) -> FeatureGroup:
    group = FeatureGroup(f"v2-{name}-{unique}", session)
    group.load_feature_definitions(frame)
    group.create(prefix, "customer", event_time, role, enable_online_store=True, description=f"{name} of customers")
    while (status := group.describe()["FeatureGroupStatus"]) == "Creating":
        PAUSE.wait(0.2)
    assert status == "Created", group.describe()
    return group


def count(group: FeatureGroup) -> int:
    query = group.athena_query()
    query.run(f'SELECT count(*) AS n FROM "{query.table_name}"', f"{prefix}/counts")
    query.wait()
    return int(query.as_dataframe()["n"][0])


bought = create("purchases", purchases(moment), "bought_at")
reached = create("levels", levels(moment), "since")
bought.ingest(purchases(moment), max_workers=3, wait=True)
reached.ingest(levels(moment), max_processes=2, max_workers=2, wait=True)
reached.delete_record(DELETED[0], str(moment(DELETED[1])))

latest = {one["FeatureName"]: one["ValueAsString"] for one in reached.get_record("c1")}
deleted = reached.get_record(DELETED[0])
batch = store.batch_get_record([Identifier(bought.name, ["c1", "c9"]), Identifier(reached.name, ["c2"], ["level"])])

rows = [wait_for_rows(lambda: count(bought), len(PURCHASES)), wait_for_rows(lambda: count(reached), len(LEVELS) + 1)]
query = reached.athena_query()
query.run(f'SELECT * FROM "{query.table_name}" ORDER BY since, customer', f"{prefix}/all")
query.wait()
everything = query.as_dataframe()

builder = store.create_dataset(bought, f"{prefix}/sets").with_feature_group(reached)
joined, statement = (
    builder.point_in_time_accurate_join()
    .with_number_of_recent_records_by_record_identifier(1)
    .as_of(datetime.datetime.fromisoformat("2100-01-01"))
    .with_event_time_range(*(datetime.datetime.fromtimestamp(moment(minute), datetime.UTC) for minute in (-1, 99)))
    .to_dataframe()
)
before, _ = (
    store.create_dataset(bought, f"{prefix}/sets").as_of(datetime.datetime.fromisoformat("2000-01-01")).to_dataframe()
)
framed, _ = (
    store.create_dataset(
        purchases(moment).astype({"customer": "object"}),
        f"{prefix}/sets",
        record_identifier_feature_name="customer",
        event_time_identifier_feature_name="bought_at",
    )
    .with_feature_group(reached, included_feature_names=["level"])
    .point_in_time_accurate_join()
    .to_dataframe()
)

reached.update([IntegralFeatureDefinition("points")])
while (updated := reached.describe())["LastUpdateStatus"]["Status"] == "InProgress":
    PAUSE.wait(0.2)
pointed = {"customer": "c5", "since": str(moment(90)), "points": "7"}
reached.put_record([FeatureValue(name, value) for name, value in pointed.items()])
rows.append(wait_for_rows(lambda: count(reached), len(LEVELS) + 2))
query.run(f"SELECT points FROM \"{query.table_name}\" WHERE customer = 'c5'", f"{prefix}/points")
query.wait()
points = query.as_dataframe()["points"].tolist()

reached.update_feature_metadata("level", "how good a customer", [FeatureParameter("team", "sales")])
metadata = reached.describe_feature_metadata("level")
found = store.search(ResourceEnum.FEATURE_GROUP, [Filter("FeatureGroupName", unique, "Contains")])["Results"]
listed = store.list_feature_groups(name_contains=unique)["FeatureGroupSummaries"]
for group in (bought, reached):
    group.delete()
while store.list_feature_groups(name_contains=unique)["FeatureGroupSummaries"]:
    PAUSE.wait(0.2)

print(
    json.dumps(
        {
            "types": [one["FeatureType"] for one in updated["FeatureDefinitions"]],
            "latest": [latest["level"], latest["rank"]],
            "deleted": deleted,
            "batch": len(batch["Records"]),
            "rows": rows,
            "columns": list(everything),
            "marks": everything["is_deleted"].tolist(),
            "joined": {row["customer"]: [row["amount"], row["level.1"]] for _, row in joined.iterrows()},
            "statement": statement.startswith("WITH fg_base"),
            "before": len(before),
            "framed": sorted([row["customer"], row["amount"], row["level.1"]] for _, row in framed.iterrows()),
            "points": points,
            "described": [metadata["Description"], metadata["Parameters"]],
            "found": sorted(one["FeatureGroup"]["FeatureGroupName"] for one in found),
            "listed": sorted(one["FeatureGroupName"] for one in listed),
            "names": sorted([bought.name, reached.name]),
        }
    )
)
