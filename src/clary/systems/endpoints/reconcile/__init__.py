"""What this room drives: endpoints, inference components, and the metrics of what serves."""
