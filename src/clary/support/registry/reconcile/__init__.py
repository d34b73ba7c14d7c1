"""What this room drives: the validation of packages, and the export of model cards."""
