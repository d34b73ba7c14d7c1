"""The operations of the catalog, by what they act on."""
