"""What a crawler may use while it works, as its role: the catalog, and objects of S3."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from clary.kernel.auth import policies
from clary.kernel.core.arns import partition_of
from clary.kernel.core.ids import new_uuid
from clary.kernel.rooms import Context, Platform
from clary.kernel.rooms.roles import role_principal


class Listed(NamedTuple):
    """An object of a listing."""

    key: str
    size_bytes: int


class Acting:
    """Calls of the catalog and reads of objects as a role, in an account and region. They raise AwsError."""

    def __init__(self, platform: Platform, role: str, account: str, region: str) -> None:
        self.platform = platform
        self.account = account
        self.region = region
        self._principal = role_principal(platform, role)

    def call(self, operation: str, **params: Any) -> dict[str, Any]:
        """Call the catalog."""
        model = self.platform.registry.model("glue", operation)
        ctx = Context(self.platform, model, self._principal, self.account, self.region, new_uuid())
        return self.platform.registry.call(ctx, params)

    def pages(self, operation: str, member: str, **params: Any) -> Iterator[dict[str, Any]]:
        """What all pages of a list of the catalog hold."""
        token: dict[str, Any] = {}
        while True:
            page = self.call(operation, **params, **token)
            yield from page.get(member) or ()
            if not page.get("NextToken"):
                return
            token = {"NextToken": page["NextToken"]}

    def objects(self, bucket: str, prefix: str) -> Iterator[Listed]:
        """The objects whose keys begin with `prefix`, in the order of their keys."""
        self._require("s3:ListBucket", bucket)
        for found in self.platform.objects.list(bucket, prefix, account=self.account):
            yield Listed(found.key, found.size)

    def path_of(self, bucket: str, key: str) -> Path:
        """A file with the bytes of an object, not to be written to."""
        self._require("s3:GetObject", f"{bucket}/{key}")
        return self.platform.objects.local_path(bucket, key, account=self.account)

    def _require(self, action: str, name: str) -> None:
        resource = f"arn:{partition_of(self.region)}:s3:::{name}"
        decision = policies.authorize(self._principal, action, resource)
        if not decision.allowed:
            raise policies.denied(self._principal, action, resource, decision)
