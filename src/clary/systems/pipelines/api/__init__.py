"""The operations of pipelines, by what they act on."""
