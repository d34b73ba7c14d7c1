"""What deleted databases and tables held is cleared away."""

from clary.kernel.rooms import Platform
from clary.kernel.rooms.tests.in_process import calling
from clary.systems.glue_catalog.reconcile import reconcile
from clary.systems.glue_catalog.records import Database, Forgotten, Partition, Table, TableVersion


def test_a_deleted_database_leaves_nothing(platform: Platform) -> None:
    call = calling(platform, "glue")
    keys = [{"Name": "k", "Type": "string"}]
    for database in ("gone", "kept"):
        call("CreateDatabase", DatabaseInput={"Name": database})
        for name in ("a", "b"):
            call("CreateTable", DatabaseName=database, TableInput={"Name": name, "PartitionKeys": keys})
            call("UpdateTable", DatabaseName=database, TableInput={"Name": name, "PartitionKeys": keys})
            call("CreatePartition", DatabaseName=database, TableName=name, PartitionInput={"Values": ["x"]})
    call("DeleteDatabase", Name="gone")
    call("DeleteTable", DatabaseName="kept", Name="b")
    kinds = (Database, Table, TableVersion, Partition)
    for _ in range(3):
        reconcile(platform, None)
    assert [platform.records(kind).count() for kind in kinds] == [1, 1, 1, 1]
    assert platform.records(Forgotten).count() == 4  # for a while, for those who found them before they went
