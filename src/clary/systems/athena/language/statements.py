"""What a statement of Athena asks for, one class for each kind.

`kind` and `substatement` are Athena's StatementType and SubstatementType. Bodies of queries and of DML are trees of
sqlglot in the dialect `trino`; everything else is plain. Names of tables, columns and partition keys are in lower case,
as the catalog folds them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from clary.systems.athena.contract import DDL, DML, UTILITY, TableName

if TYPE_CHECKING:
    from sqlglot import exp

Value = str | int | float | bool | None | tuple["Value", ...]
"""What a property of `WITH (name = value)` may be."""


class Name(NamedTuple):
    """A table or view as a statement names it; what it leaves out is the session's."""

    name: str
    database: str = ""
    catalog: str = ""

    def completed(self, catalog: str, database: str) -> TableName:
        return TableName(self.catalog or catalog, self.database or database, self.name)

    def __str__(self) -> str:
        return ".".join(part for part in (self.catalog, self.database, self.name) if part)


class DatabaseName(NamedTuple):
    """A database as a statement names it; a catalog that it leaves out is the session's."""

    name: str
    catalog: str = ""


@dataclass(frozen=True, slots=True)
class ColumnDefinition:
    """A column: its name, its type as the catalog writes it, and its comment."""

    name: str
    type: str
    comment: str | None = None


@dataclass(frozen=True, slots=True)
class PartitionField:
    """What an Iceberg table is parted by: a column as it is, or what `transform` makes of it (`bucket[16]`, `day`)."""

    column: str
    transform: str = "identity"


@dataclass(frozen=True, slots=True)
class RowFormat:
    """ROW FORMAT: a SerDe by its class and properties; DELIMITED has no `serde`, its separators as Hive has them."""

    serde: str = ""
    properties: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StoredAs:
    """STORED AS: a format by its name in upper case, or classes that read and write it."""

    format: str = ""
    input_format: str = ""
    output_format: str = ""


Specification = Mapping[str, str]
"""Values of partition keys as texts: `PARTITION (year = '2024')`."""


class Comparison(NamedTuple):
    """One condition of `DROP PARTITION (year < '2024')`: `operator` is =, <>, <, <=, > or >=."""

    key: str
    operator: str
    value: str


class NewPartition(NamedTuple):
    """A partition to be added, and where its files lie when that is not where Hive would have them."""

    values: Specification
    location: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """Anything that Athena runs. `text` is the statement as it was given, less a semicolon at its end."""

    text: str
    kind: ClassVar[str] = DDL
    substatement: ClassVar[str] = ""


# Queries and DML.


@dataclass(frozen=True, slots=True, kw_only=True)
class Query(Statement):
    """SELECT, WITH, VALUES, TABLE."""

    tree: "exp.Expression"
    kind: ClassVar[str] = DML
    substatement: ClassVar[str] = "SELECT"


@dataclass(frozen=True, slots=True, kw_only=True)
class InsertInto(Statement):
    """INSERT INTO. Without `columns`, those of the table in its order, the keys last."""

    name: Name
    columns: tuple[str, ...]
    query: "exp.Expression"
    kind: ClassVar[str] = DML
    substatement: ClassVar[str] = "INSERT"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unload(Statement):
    """UNLOAD (query) TO 's3://...' WITH (...)."""

    query: "exp.Expression"
    location: str
    properties: Mapping[str, Value]
    kind: ClassVar[str] = DML
    substatement: ClassVar[str] = "UNLOAD"


@dataclass(frozen=True, slots=True, kw_only=True)
class Delete(Statement):
    """DELETE FROM: `tree` is all of it."""

    name: Name
    tree: "exp.Expression"
    kind: ClassVar[str] = DML
    substatement: ClassVar[str] = "DELETE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Update(Statement):
    """UPDATE: `tree` is all of it."""

    name: Name
    tree: "exp.Expression"
    kind: ClassVar[str] = DML
    substatement: ClassVar[str] = "UPDATE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Merge(Statement):
    """MERGE INTO: `tree` is all of it, `name` the table that is written."""

    name: Name
    tree: "exp.Expression"
    kind: ClassVar[str] = DML
    substatement: ClassVar[str] = "MERGE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Optimize(Statement):
    """OPTIMIZE table REWRITE DATA USING BIN_PACK [WHERE condition]."""

    name: Name
    condition: "exp.Expression | None" = None
    kind: ClassVar[str] = DML
    substatement: ClassVar[str] = "OPTIMIZE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Vacuum(Statement):
    """VACUUM table."""

    name: Name
    kind: ClassVar[str] = DML
    substatement: ClassVar[str] = "VACUUM"


@dataclass(frozen=True, slots=True, kw_only=True)
class Explain(Statement):
    """EXPLAIN [(TYPE ..., FORMAT ...)] and EXPLAIN ANALYZE of `statement`; `type` and `format` are in upper case."""

    statement: Statement
    analyze: bool = False
    format: str = "TEXT"
    type: str = "DISTRIBUTED"
    kind: ClassVar[str] = UTILITY
    substatement: ClassVar[str] = "EXPLAIN"


# Prepared statements.


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepare(Statement):
    """PREPARE name FROM statement: `body` is its text, which parses once its `?` have values."""

    name: str
    body: str
    kind: ClassVar[str] = DDL
    substatement: ClassVar[str] = "PREPARE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Execute(Statement):
    """EXECUTE name [USING ...]: `parameters` are literals as they are written."""

    name: str
    parameters: tuple[str, ...]
    kind: ClassVar[str] = DML
    substatement: ClassVar[str] = "EXECUTE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deallocate(Statement):
    """DEALLOCATE PREPARE name."""

    name: str
    kind: ClassVar[str] = DDL
    substatement: ClassVar[str] = "DEALLOCATE"


# Databases.


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateDatabase(Statement):
    """CREATE DATABASE."""

    name: DatabaseName
    if_not_exists: bool = False
    comment: str | None = None
    location: str | None = None
    properties: Mapping[str, str] = field(default_factory=dict)
    substatement: ClassVar[str] = "CREATE_DATABASE"


@dataclass(frozen=True, slots=True, kw_only=True)
class DropDatabase(Statement):
    """DROP DATABASE [CASCADE]."""

    name: DatabaseName
    if_exists: bool = False
    cascade: bool = False
    substatement: ClassVar[str] = "DROP_DATABASE"


@dataclass(frozen=True, slots=True, kw_only=True)
class AlterDatabaseProperties(Statement):
    """ALTER DATABASE SET DBPROPERTIES."""

    name: DatabaseName
    properties: Mapping[str, str]
    substatement: ClassVar[str] = "ALTER_DATABASE"


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribeDatabase(Statement):
    """DESCRIBE DATABASE [EXTENDED]."""

    name: DatabaseName
    extended: bool = False
    kind: ClassVar[str] = UTILITY
    substatement: ClassVar[str] = "DESCRIBE_DATABASE"


# Tables.


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateTable(Statement):
    """CREATE [EXTERNAL] TABLE.

    A Hive table has `keys`, columns of their own; an Iceberg table has `partitioned_by`, over columns that it lists.
    `sorted_by` are columns with ASC or DESC.
    """

    name: Name
    columns: tuple[ColumnDefinition, ...] = ()
    external: bool = False
    if_not_exists: bool = False
    comment: str | None = None
    keys: tuple[ColumnDefinition, ...] = ()
    partitioned_by: tuple[PartitionField, ...] = ()
    clustered_by: tuple[str, ...] = ()
    sorted_by: tuple[tuple[str, str], ...] = ()
    buckets: int = 0
    row_format: RowFormat | None = None
    stored_as: StoredAs | None = None
    serde_properties: Mapping[str, str] = field(default_factory=dict)
    location: str | None = None
    properties: Mapping[str, str] = field(default_factory=dict)
    substatement: ClassVar[str] = "CREATE_TABLE"

    @property
    def is_iceberg(self) -> bool:
        return self.properties.get("table_type", "").upper() == "ICEBERG"


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateTableAs(Statement):
    """CREATE TABLE AS. `columns` are names given to those of the query, in its order; often none."""

    name: Name
    query: "exp.Expression"
    columns: tuple[str, ...] = ()
    properties: Mapping[str, Value] = field(default_factory=dict)
    if_not_exists: bool = False
    comment: str | None = None
    with_data: bool = True
    substatement: ClassVar[str] = "CREATE_TABLE_AS_SELECT"

    @property
    def is_iceberg(self) -> bool:
        return str(self.properties.get("table_type", "")).upper() == "ICEBERG"


@dataclass(frozen=True, slots=True, kw_only=True)
class DropTable(Statement):
    """DROP TABLE."""

    name: Name
    if_exists: bool = False
    substatement: ClassVar[str] = "DROP_TABLE"


@dataclass(frozen=True, slots=True, kw_only=True)
class AddPartitions(Statement):
    """ALTER TABLE ADD [IF NOT EXISTS] PARTITION (...) [LOCATION '...'] ..."""

    name: Name
    partitions: tuple[NewPartition, ...]
    if_not_exists: bool = False
    substatement: ClassVar[str] = "ALTER_TABLE_ADD_PARTITION"


@dataclass(frozen=True, slots=True, kw_only=True)
class DropPartitions(Statement):
    """ALTER TABLE DROP [IF EXISTS] PARTITION (...), PARTITION (...)."""

    name: Name
    partitions: tuple[tuple[Comparison, ...], ...]
    if_exists: bool = False
    substatement: ClassVar[str] = "ALTER_TABLE_DROP_PARTITION"


@dataclass(frozen=True, slots=True, kw_only=True)
class RenamePartition(Statement):
    """ALTER TABLE PARTITION (...) RENAME TO PARTITION (...)."""

    name: Name
    partition: Specification
    to: Specification
    substatement: ClassVar[str] = "ALTER_TABLE_RENAME_PARTITION"


@dataclass(frozen=True, slots=True, kw_only=True)
class RenameTable(Statement):
    """ALTER TABLE RENAME TO."""

    name: Name
    to: Name
    substatement: ClassVar[str] = "ALTER_TABLE_RENAME"


@dataclass(frozen=True, slots=True, kw_only=True)
class AddColumns(Statement):
    """ALTER TABLE [PARTITION (...)] ADD COLUMNS (...)."""

    name: Name
    columns: tuple[ColumnDefinition, ...]
    partition: Specification | None = None
    substatement: ClassVar[str] = "ALTER_TABLE_ADD_COLUMNS"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplaceColumns(Statement):
    """ALTER TABLE [PARTITION (...)] REPLACE COLUMNS (...)."""

    name: Name
    columns: tuple[ColumnDefinition, ...]
    partition: Specification | None = None
    substatement: ClassVar[str] = "ALTER_TABLE_REPLACE_COLUMNS"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeColumn(Statement):
    """ALTER TABLE CHANGE [COLUMN] old new type [COMMENT '...'] [FIRST | AFTER other]."""

    name: Name
    old: str
    column: ColumnDefinition
    first: bool = False
    after: str | None = None
    partition: Specification | None = None
    substatement: ClassVar[str] = "ALTER_TABLE_CHANGE_COLUMN"


@dataclass(frozen=True, slots=True, kw_only=True)
class DropColumn(Statement):
    """ALTER TABLE DROP COLUMN, of Iceberg tables."""

    name: Name
    column: str
    substatement: ClassVar[str] = "ALTER_TABLE_DROP_COLUMN"


@dataclass(frozen=True, slots=True, kw_only=True)
class SetTableProperties(Statement):
    """ALTER TABLE SET TBLPROPERTIES."""

    name: Name
    properties: Mapping[str, str]
    substatement: ClassVar[str] = "ALTER_TABLE_SET_TBLPROPERTIES"


@dataclass(frozen=True, slots=True, kw_only=True)
class UnsetTableProperties(Statement):
    """ALTER TABLE UNSET TBLPROPERTIES, of Iceberg tables."""

    name: Name
    properties: tuple[str, ...]
    if_exists: bool = False
    substatement: ClassVar[str] = "ALTER_TABLE_UNSET_TBLPROPERTIES"


@dataclass(frozen=True, slots=True, kw_only=True)
class SetLocation(Statement):
    """ALTER TABLE [PARTITION (...)] SET LOCATION."""

    name: Name
    location: str
    partition: Specification | None = None
    substatement: ClassVar[str] = "ALTER_TABLE_SET_LOCATION"


@dataclass(frozen=True, slots=True, kw_only=True)
class SetSerDe(Statement):
    """ALTER TABLE [PARTITION (...)] SET SERDE / SET SERDEPROPERTIES: without `serde` it stays what it is."""

    name: Name
    serde: str = ""
    properties: Mapping[str, str] = field(default_factory=dict)
    partition: Specification | None = None
    substatement: ClassVar[str] = "ALTER_TABLE_SET_SERDE"


@dataclass(frozen=True, slots=True, kw_only=True)
class MsckRepair(Statement):
    """MSCK REPAIR TABLE."""

    name: Name
    substatement: ClassVar[str] = "MSCK_REPAIR"


# Views.


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateView(Statement):
    """CREATE [OR REPLACE] VIEW: `body` is the text of the query, `query` its tree."""

    name: Name
    body: str
    query: "exp.Expression"
    or_replace: bool = False
    comment: str | None = None
    substatement: ClassVar[str] = "CREATE_VIEW"


@dataclass(frozen=True, slots=True, kw_only=True)
class DropView(Statement):
    """DROP VIEW."""

    name: Name
    if_exists: bool = False
    substatement: ClassVar[str] = "DROP_VIEW"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowCreateView(Statement):
    """SHOW CREATE VIEW."""

    name: Name
    kind: ClassVar[str] = UTILITY
    substatement: ClassVar[str] = "SHOW_CREATE_VIEW"


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribeView(Statement):
    """DESCRIBE VIEW."""

    name: Name
    kind: ClassVar[str] = UTILITY
    substatement: ClassVar[str] = "DESCRIBE_VIEW"


# What there is.


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowDatabases(Statement):
    """SHOW DATABASES | SCHEMAS [LIKE pattern]."""

    pattern: str | None = None
    kind: ClassVar[str] = UTILITY
    substatement: ClassVar[str] = "SHOW_DATABASES"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowTables(Statement):
    """SHOW TABLES [IN database] [pattern]."""

    database: DatabaseName | None = None
    pattern: str | None = None
    kind: ClassVar[str] = UTILITY
    substatement: ClassVar[str] = "SHOW_TABLES"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowViews(Statement):
    """SHOW VIEWS [IN database] [LIKE pattern]."""

    database: DatabaseName | None = None
    pattern: str | None = None
    kind: ClassVar[str] = UTILITY
    substatement: ClassVar[str] = "SHOW_VIEWS"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowColumns(Statement):
    """SHOW COLUMNS IN table."""

    name: Name
    kind: ClassVar[str] = UTILITY
    substatement: ClassVar[str] = "SHOW_COLUMNS"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowPartitions(Statement):
    """SHOW PARTITIONS table [PARTITION (...)]."""

    name: Name
    partition: Specification | None = None
    kind: ClassVar[str] = UTILITY
    substatement: ClassVar[str] = "SHOW_PARTITIONS"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowTableProperties(Statement):
    """SHOW TBLPROPERTIES table [('name')]."""

    name: Name
    property: str | None = None
    kind: ClassVar[str] = UTILITY
    substatement: ClassVar[str] = "SHOW_TBLPROPERTIES"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowCreateTable(Statement):
    """SHOW CREATE TABLE."""

    name: Name
    kind: ClassVar[str] = UTILITY
    substatement: ClassVar[str] = "SHOW_CREATE_TABLE"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowFunctions(Statement):
    """SHOW FUNCTIONS [LIKE pattern]."""

    pattern: str | None = None
    kind: ClassVar[str] = UTILITY
    substatement: ClassVar[str] = "SHOW_FUNCTIONS"


@dataclass(frozen=True, slots=True, kw_only=True)
class Describe(Statement):
    """DESCRIBE [EXTENDED | FORMATTED] table [PARTITION (...)] [column]; `column` may go into a struct: `a.b`."""

    name: Name
    extended: bool = False
    formatted: bool = False
    partition: Specification | None = None
    column: str | None = None
    kind: ClassVar[str] = UTILITY
    substatement: ClassVar[str] = "DESCRIBE_TABLE"
