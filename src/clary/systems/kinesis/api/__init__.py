"""The operations of data streams, by what they act on."""
