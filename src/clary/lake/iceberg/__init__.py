"""Tables of Iceberg: loaded by their metadata, planned into files for an engine, and written by commits to the catalog.

pyiceberg gives metadata, schemas, transforms and manifests. Objects and the catalog are reached by what a caller hands
over (see `access`), in place and without a network, as whoever the caller is.
"""
