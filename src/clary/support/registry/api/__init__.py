"""Operations of the model registry."""
