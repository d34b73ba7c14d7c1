"""Clary: a self-hosted ML platform that speaks the AWS ML APIs on the wire and really does the work."""

__version__ = "0.1.0"
