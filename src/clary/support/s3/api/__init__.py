"""The operations of S3, one module for each kind of thing they are about."""
