"""What running work says about itself: log streams and metrics, written and read by any process."""

from clary.kernel.telemetry.logs import Logs
from clary.kernel.telemetry.metrics import Metrics

__all__ = ["Logs", "Metrics"]
