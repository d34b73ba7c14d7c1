"""Run a training job: read what /opt/ml describes, then the user's script or a built-in algorithm."""
