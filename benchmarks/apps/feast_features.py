"""The features that Feast serves: 18 of a user, kept online by a push. It is copied into Feast's repository."""

from datetime import timedelta

from feast import Entity, FeatureView, Field, FileSource, PushSource
from feast.types import Float64, String
from feast.value_type import ValueType

user = Entity(name="user", join_keys=["id"], value_type=ValueType.STRING)
source = FileSource(path="data/none.parquet", timestamp_field="at")
users = FeatureView(
    name="users",
    entities=[user],
    ttl=timedelta(days=36_500),
    schema=[Field(name="id", dtype=String), *(Field(name=f"feature_{n}", dtype=Float64) for n in range(18))],
    source=PushSource(name="pushed", batch_source=source),
    online=True,
)
