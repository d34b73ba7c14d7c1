"""Clary: a self-hosted ML platform that speaks the AWS ML APIs on the wire."""
