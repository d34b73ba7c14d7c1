"""Operations of ML Lineage, one module for each kind of entity, and one for what goes across."""
