"""From a table that a query reads to the files that it must read: partitions, projection, pruning, listing, linking."""
