"""The functions that a query can call, by what they are about; `calls` finds one for a call."""
