"""The statuses that AWS gives training, transform and processing jobs alike."""

IN_PROGRESS = "InProgress"
STOPPING = "Stopping"
COMPLETED = "Completed"
FAILED = "Failed"
STOPPED = "Stopped"
ACTIVE = (IN_PROGRESS, STOPPING)

WAITING = "waiting"
"""The parent of a job's record while it stands in the queue for slots."""
