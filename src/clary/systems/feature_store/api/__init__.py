"""The operations of feature groups, of their features' metadata, and of their records."""
