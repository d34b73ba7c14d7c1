"""The rooms of the mission: one folder per system a user would name."""
