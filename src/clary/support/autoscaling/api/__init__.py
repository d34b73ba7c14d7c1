"""Operations of Application Auto Scaling, by what they are about."""
