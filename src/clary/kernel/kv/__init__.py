"""Ordered, durable key-value storage for what changes often: object indexes, log events, stream shards.

`contract` states the promises; `lmdb` keeps them on one machine for any number of processes.
"""
