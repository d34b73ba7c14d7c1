"""The kernel: what every room stands on. Layered, and free of heavy libraries."""
