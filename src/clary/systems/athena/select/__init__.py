"""Athena's SELECT language, which is Trino's, translated to SQL of DuckDB over scans. Pure: it knows tables, no catalog."""
