"""pyiceberg's Glue catalog, unmodified, with its tables on this server's S3."""

from collections.abc import Callable

import pytest

from clary.testing import Server

pa = pytest.importorskip("pyarrow")
glue = pytest.importorskip("pyiceberg.catalog.glue")


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_a_table_is_made_appended_to_and_read(server: Server, unique: Callable[[str], str]) -> None:
    from pyiceberg.exceptions import NoSuchTableError, TableAlreadyExistsError

    bucket = unique("warehouse")
    server.client("s3").create_bucket(Bucket=bucket)
    where = {"client.access-key-id": server.access_key, "client.secret-access-key": server.secret}
    catalog = glue.GlueCatalog(
        "clary",
        **where,
        **{
            "client.region": "us-east-1",
            "glue.endpoint": server.endpoint,
            "s3.endpoint": server.endpoint,
            "warehouse": f"s3://{bucket}",
        },
    )
    namespace = unique("ice").replace("-", "_").lower()
    catalog.create_namespace(namespace, {"owner": "lake"})
    assert (namespace,) in catalog.list_namespaces()
    rows = pa.table({"id": pa.array(range(1000), pa.int64()), "name": [f"row {n}" for n in range(1000)]})
    table = catalog.create_table(f"{namespace}.events", rows.schema)
    with pytest.raises(TableAlreadyExistsError):
        catalog.create_table(f"{namespace}.events", rows.schema)
    table.append(rows)
    behind = catalog.load_table(f"{namespace}.events")
    table.append(rows)
    assert catalog.load_table(f"{namespace}.events").scan().to_arrow().num_rows == 2000
    behind.append(rows)  # has not seen the last commit: it is refused, reads again, and commits
    assert catalog.load_table(f"{namespace}.events").scan().to_arrow().num_rows == 3000
    with catalog.load_table(f"{namespace}.events").update_schema() as change:
        from pyiceberg.types import LongType

        change.add_column("count", LongType())
    found = catalog.load_table(f"{namespace}.events").scan(row_filter="id = 7").to_arrow()
    assert found.to_pylist() == [{"id": 7, "name": "row 7", "count": None}] * 3
    catalog.rename_table(f"{namespace}.events", f"{namespace}.renamed")
    assert catalog.list_tables(namespace) == [(namespace, "renamed")]
    catalog.drop_table(f"{namespace}.renamed")
    with pytest.raises(NoSuchTableError):
        catalog.load_table(f"{namespace}.renamed")
    catalog.drop_namespace(namespace)
