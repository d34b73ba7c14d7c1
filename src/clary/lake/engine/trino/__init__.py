"""Trino's functions inside DuckDB, and how rows of Trino's types become Athena's texts."""
