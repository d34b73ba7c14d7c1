"""IAM: users, roles, groups, access keys and policies, and what they allow."""

from clary.kernel.rooms import Room

ROOM = Room(
    name="iam",
    title="IAM",
    summary="users, roles, groups, access keys and policies, enforced on every call and open to simulation",
)
