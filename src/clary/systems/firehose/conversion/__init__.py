"""JSON records as columns: by the schema of a table, into Parquet and ORC files or into tables of Iceberg."""
