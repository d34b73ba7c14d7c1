"""The statuses of executions and steps, spelled as AWS does."""

EXECUTING = "Executing"
STARTING = "Starting"
STOPPING = "Stopping"
STOPPED = "Stopped"
FAILED = "Failed"
SUCCEEDED = "Succeeded"

ACTIVE = (EXECUTING, STOPPING)
"""Of an execution that has not ended."""

UNDER_WAY = (STARTING, EXECUTING, STOPPING)
"""Of a step that has not ended."""
