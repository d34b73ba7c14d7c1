"""Models that a service is given while it runs: the shim's side of SageMaker's contract of multi-model containers.

`disk` downloads and unpacks a model's archive. `container` asks the service to load and to unload. `shelf` knows which
models are there, loads what is asked for, and makes room by what was used least lately. `door` is the Unix socket on
which the shim is asked, and `words` what is said through it.
"""
