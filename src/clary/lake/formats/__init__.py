"""Formats of tables' files, read and written inside the engine: each file as it is, each column as its table says."""
