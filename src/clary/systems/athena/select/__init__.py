"""Athena's SELECT language, which is Trino's, as SQL of DuckDB over scans. It knows tables, no catalog."""
