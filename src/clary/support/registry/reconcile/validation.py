"""Validate packages: run the transform job of each profile, and let it decide the package's status.

Safe to run at any time, on any worker, twice: models and jobs have names that follow from the package's record, so
that what a crash cut short is found, or made, by the next run.
"""

import logging
from contextlib import suppress
from typing import Any

from clary.kernel.core.errors import AwsError
from clary.kernel.jobs import statuses
from clary.kernel.rooms import Platform, reconciler
from clary.kernel.rooms.roles import role_principal
from clary.kernel.store import Conflict, Entry
from clary.support.registry import validation
from clary.support.registry.records import ModelPackage
from clary.support.registry.validation import DELETING, PENDING, TOPIC
from clary.support.registry.versions import forget_package

_EVERY_SECONDS = 5.0
_LOOK_AGAIN_SECONDS = 1.0

_log = logging.getLogger("clary.registry")


@reconciler(TOPIC, every_seconds=_EVERY_SECONDS)
def reconcile(platform: Platform, key: str | None) -> float | None:
    """Take the package of a key `account/region/name` on, or all that are being validated or deleted."""
    packages = platform.records(ModelPackage)
    if key is not None:
        account, region, name = key.split("/", 2)
        found = packages.within(account, region).get(name)
        entries = [found] if found is not None and found.status in validation.ACTIVE else []
    else:
        entries = packages.all(status=validation.ACTIVE)
    waits = []
    for entry in entries:
        try:
            waits.append(_drive(platform, entry))
        except Conflict:
            waits.append(0.0)
        except Exception:  # noqa: BLE001 - whatever one package meets, the others must go on
            _log.exception("validating model package %s failed; trying again", entry.name)
    return min((wait for wait in waits if wait is not None), default=None)


def _drive(platform: Platform, entry: Entry[ModelPackage]) -> float | None:
    """Take one package as far as it will go now; return when to look again. Raises Conflict."""
    package, table = entry.value, platform.records(ModelPackage).within(entry.account, entry.region)
    if package.status == DELETING:
        _abandon(platform, entry)
        return None
    if package.status == PENDING:
        package = validation.begun(package)
        entry = table.replace(entry, package, status=package.status)
    outcomes = [_validate(platform, entry, index) for index in range(len(package.validations))]
    if any(outcome is None for outcome in outcomes):
        return _LOOK_AGAIN_SECONDS
    for index in range(len(outcomes)):
        _delete_model(platform, entry, validation.name_of(package, index))
    ended = validation.concluded(package, [outcome for outcome in outcomes if outcome is not None])
    table.replace(entry, ended, status=ended.status)
    return None


def _validate(platform: Platform, entry: Entry[ModelPackage], index: int) -> dict[str, Any] | None:
    """How a profile came out; None while its job runs, which is started where it is not there."""
    package, name = entry.value, validation.name_of(entry.value, index)
    job = _job(platform, entry, name)
    if job is not None:
        return validation.outcome(job)
    try:
        role_principal(platform, package.role)  # it may be gone, and nothing else is to act in its place
        with suppress(_Exists):
            _call(platform, entry, "CreateModel", **validation.model_request(package, name))
        with suppress(_Exists):
            _call(platform, entry, "CreateTransformJob", **validation.job_request(package, index, name))
    except AwsError as error:
        return validation.failure(f"ClientError: {error.message}")
    return None


def _abandon(platform: Platform, entry: Entry[ModelPackage]) -> None:
    """Stop what validates a package that is to be deleted, then forget it."""
    for index in range(len(entry.value.validations)):
        name = validation.name_of(entry.value, index)
        job = _job(platform, entry, name)
        if job is not None and job["TransformJobStatus"] == statuses.IN_PROGRESS:
            with suppress(AwsError):  # it has ended meanwhile
                _call(platform, entry, "StopTransformJob", TransformJobName=name)
        _delete_model(platform, entry, name)
    ctx = platform.acting_as_root(entry.account, entry.region, "sagemaker", "DeleteModelPackage")
    with suppress(AwsError):  # another run has forgotten it
        forget_package(ctx, entry.name)


def _job(platform: Platform, entry: Entry[ModelPackage], name: str) -> dict[str, Any] | None:
    try:
        return _call(platform, entry, "DescribeTransformJob", TransformJobName=name)
    except AwsError as error:
        if error.code == "ResourceNotFound":
            return None
        raise


def _delete_model(platform: Platform, entry: Entry[ModelPackage], name: str) -> None:
    with suppress(AwsError):  # it was never made, or is gone
        _call(platform, entry, "DeleteModel", ModelName=name)


class _Exists(Exception):
    """What a call would create is there: an earlier run, cut short, has made it."""


def _call(platform: Platform, entry: Entry[ModelPackage], operation: str, **params: Any) -> dict[str, Any]:
    """Call SageMaker on the account's behalf. Raises AwsError, or _Exists."""
    try:
        return dict(platform.call(entry.account, entry.region, "sagemaker", operation, **params))
    except AwsError as error:
        if error.code == "ResourceInUse" or "already existing" in error.message:
            raise _Exists from None
        raise
