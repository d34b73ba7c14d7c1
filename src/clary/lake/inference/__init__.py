"""What files on S3 are: their formats and columns, found by looking into them, and the tables that folders make.

The rules are those of AWS Glue's crawlers.
"""
