"""The rooms the systems lean on: S3, identity, logs, metrics and the like."""
