"""How work runs: the contract of executors, the shim that looks after one host, and the slots of this machine."""
