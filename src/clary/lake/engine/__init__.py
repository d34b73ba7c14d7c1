"""The engine: SQL over scans, run by DuckDB in processes of its own that see what a query names and nothing else."""
