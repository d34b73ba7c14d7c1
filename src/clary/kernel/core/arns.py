"""Amazon Resource Names: build, take apart, and know the partition of a region."""

from dataclasses import dataclass

from clary.kernel.core.errors import validation

_PARTITION_BY_REGION_PREFIX = (
    ("cn-", "aws-cn"),
    ("us-gov-", "aws-us-gov"),
    ("us-iso-", "aws-iso"),
    ("us-isob-", "aws-iso-b"),
    ("eu-isoe-", "aws-iso-e"),
    ("us-isof-", "aws-iso-f"),
    ("eusc-", "aws-eusc"),
)


@dataclass(frozen=True, slots=True)
class Arn:
    """`arn:partition:service:region:account:resource`, the resource kept whole."""

    partition: str
    service: str
    region: str
    account: str
    resource: str

    def __str__(self) -> str:
        return f"arn:{self.partition}:{self.service}:{self.region}:{self.account}:{self.resource}"

    @property
    def resource_type(self) -> str:
        """`training-job` of `training-job/name`; empty where the resource has no type."""
        for index, character in enumerate(self.resource):
            if character in "/:":
                return self.resource[:index]
        return ""

    @property
    def resource_name(self) -> str:
        """What follows the type: `name` of `training-job/name`; the whole resource where there is no type."""
        kind = self.resource_type
        return self.resource[len(kind) + 1 :] if kind else self.resource


def partition_of(region: str) -> str:
    """The partition a region belongs to; an unknown region is taken for a commercial one."""
    for prefix, partition in _PARTITION_BY_REGION_PREFIX:
        if region.startswith(prefix):
            return partition
    return "aws"


def parse_arn(text: str) -> Arn:
    """Take an ARN apart. Raises ValidationException naming the value when it is none."""
    parts = text.split(":", 5)
    if len(parts) != 6 or parts[0] != "arn" or not parts[2] or not parts[5]:
        raise validation(f"'{text}' is not an ARN: expected arn:partition:service:region:account:resource")
    return Arn(*parts[1:])
