"""Names, time, errors and context: the vocabulary of the whole house."""
