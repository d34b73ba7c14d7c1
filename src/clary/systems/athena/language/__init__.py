"""Athena's language: every statement it knows, read into what it asks for."""
