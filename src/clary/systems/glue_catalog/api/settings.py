"""What holds for an account's whole catalog: its policy, its encryption, and whether it has taken Athena's place."""

import hashlib
from collections.abc import Mapping
from typing import Any

from clary.kernel.auth import policies
from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Context, operation
from clary.kernel.store import Entry
from clary.kernel.wire import page_asked, page_output
from clary.systems.glue_catalog.lookup import CATALOG, check_catalog, invalid, not_found
from clary.systems.glue_catalog.records import CatalogImport, CatalogPolicy

_MOST_POLICY_BYTES = 10 * 1024
_OPEN: Mapping[str, Any] = {
    "EncryptionAtRest": {"CatalogEncryptionMode": "DISABLED"},
    "ConnectionPasswordEncryption": {"ReturnConnectionPasswordEncrypted": False},
}


@operation("glue", "GetDataCatalogEncryptionSettings", resource=CATALOG)
def get_data_catalog_encryption_settings(ctx: Context, CatalogId: str | None = None) -> dict[str, Any]:
    """The catalog's encryption, of which there is none."""
    check_catalog(ctx, CatalogId)
    return {"DataCatalogEncryptionSettings": _OPEN}


@operation("glue", "PutDataCatalogEncryptionSettings", resource=CATALOG)
def put_data_catalog_encryption_settings(
    ctx: Context, DataCatalogEncryptionSettings: Mapping[str, Any], CatalogId: str | None = None
) -> None:
    """Take settings that ask for no encryption; others are refused."""
    check_catalog(ctx, CatalogId)
    at_rest = DataCatalogEncryptionSettings.get("EncryptionAtRest") or {}
    passwords = DataCatalogEncryptionSettings.get("ConnectionPasswordEncryption") or {}
    mode = at_rest.get("CatalogEncryptionMode", "DISABLED")
    if mode != "DISABLED" or passwords.get("ReturnConnectionPasswordEncrypted"):
        raise invalid(
            "Clary has no KMS and encrypts no catalog: CatalogEncryptionMode can be DISABLED, and "
            "ReturnConnectionPasswordEncrypted false. Encrypt the disk that the home lies on."
        )


@operation("glue", "PutResourcePolicy", resource=CATALOG)
def put_resource_policy(
    ctx: Context,
    PolicyInJson: str,
    ResourceArn: str | None = None,
    PolicyHashCondition: str | None = None,
    PolicyExistsCondition: str | None = None,
    EnableHybrid: str | None = None,
) -> dict[str, Any]:
    """Say what the catalog denies to users of its account; what it allows to others is kept, and lets nobody in."""
    _check_resource(ctx, ResourceArn)
    if EnableHybrid == "TRUE":
        raise invalid("EnableHybrid TRUE is not supported by Clary, which has no Lake Formation: leave it out")
    if len(PolicyInJson.encode()) > _MOST_POLICY_BYTES:
        raise invalid(f"PolicyInJson has more than {_MOST_POLICY_BYTES} bytes")
    try:
        policies.compile_document(PolicyInJson, "catalog policy")
    except ValueError as error:
        raise invalid(f"PolicyInJson is not valid: {error}") from None
    there = ctx.records(CatalogPolicy).get(CATALOG)
    if PolicyExistsCondition == "MUST_EXIST" and there is None:
        raise not_found("The catalog has no policy, and PolicyExistsCondition is MUST_EXIST")
    if PolicyExistsCondition == "NOT_EXIST" and there is not None:
        raise AwsError(
            "ConditionCheckFailureException", "The catalog has a policy, and PolicyExistsCondition is NOT_EXIST"
        )
    _check_hash(there, PolicyHashCondition)
    ctx.records(CatalogPolicy).put(CATALOG, CatalogPolicy(PolicyInJson))
    return {"PolicyHash": _hash(PolicyInJson)}


@operation("glue", "GetResourcePolicy", resource=CATALOG)
def get_resource_policy(ctx: Context, ResourceArn: str | None = None) -> dict[str, Any]:
    """The catalog's policy."""
    _check_resource(ctx, ResourceArn)
    return _show(_policy(ctx))


@operation("glue", "GetResourcePolicies", resource=CATALOG)
def get_resource_policies(ctx: Context, NextToken: str | None = None, MaxResults: int | None = None) -> dict[str, Any]:
    """The policies of the account: that of its catalog, if it has one."""
    page_asked(ctx.operation, {"NextToken": NextToken, "MaxResults": MaxResults})
    return page_output(ctx.operation, [_show(entry) for entry in ctx.records(CatalogPolicy).all()], None)


@operation("glue", "DeleteResourcePolicy", resource=CATALOG)
def delete_resource_policy(
    ctx: Context, PolicyHashCondition: str | None = None, ResourceArn: str | None = None
) -> None:
    """Take the catalog's policy away."""
    _check_resource(ctx, ResourceArn)
    entry = _policy(ctx)
    _check_hash(entry, PolicyHashCondition)
    ctx.records(CatalogPolicy).delete(CATALOG)


@operation("glue", "ImportCatalogToGlue", resource=CATALOG)
def import_catalog_to_glue(ctx: Context, CatalogId: str | None = None) -> None:
    """Note that the catalog has taken the place of Athena's own of old times, of which there is nothing to bring."""
    check_catalog(ctx, CatalogId)
    if ctx.records(CatalogImport).get(CATALOG) is None:
        ctx.records(CatalogImport).put(CATALOG, CatalogImport(ctx.principal.arn))


@operation("glue", "GetCatalogImportStatus", resource=CATALOG)
def get_catalog_import_status(ctx: Context, CatalogId: str | None = None) -> dict[str, Any]:
    """Whether Athena uses this catalog, which it always does; and since when, and by whom that was asked for."""
    check_catalog(ctx, CatalogId)
    entry = ctx.records(CatalogImport).get(CATALOG)
    asked = {} if entry is None else {"ImportTime": entry.created_at, "ImportedBy": entry.value.imported_by}
    return {"ImportStatus": {"ImportCompleted": True, **asked}}


def _policy(ctx: Context) -> Entry[CatalogPolicy]:
    entry = ctx.records(CatalogPolicy).get(CATALOG)
    if entry is None:
        raise not_found("Policy not found: the catalog has none")
    return entry


def _check_resource(ctx: Context, arn: str | None) -> None:
    catalog = ctx.arn(CATALOG, service="glue")
    if arn not in (None, catalog):
        raise invalid(f"ResourceArn {arn} is not that of the catalog, which alone has a policy: {catalog}")


def _check_hash(entry: Entry[CatalogPolicy] | None, wanted: str | None) -> None:
    if wanted is not None and (entry is None or _hash(entry.value.document) != wanted):
        raise AwsError("ConditionCheckFailureException", "PolicyHashCondition is not the hash of the catalog's policy")


def _show(entry: Entry[CatalogPolicy]) -> dict[str, Any]:
    return {
        "PolicyInJson": entry.value.document,
        "PolicyHash": _hash(entry.value.document),
        "CreateTime": entry.created_at,
        "UpdateTime": entry.updated_at,
    }


def _hash(document: str) -> str:
    return hashlib.sha256(document.encode()).hexdigest()
