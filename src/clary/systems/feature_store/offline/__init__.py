"""The offline store: all that was ever put into a feature group, as a table of files on S3.

The carrier drains the offline log of each group into files, in AWS's layout, and tells the catalog of them.
"""
