"""Export model cards: write the document of each job to S3, then say so in its record.

Safe to run twice: the document lies where the job's record leads to, and is written over by the same.
"""

import logging
from dataclasses import replace

from clary.kernel.core.errors import AwsError
from clary.kernel.objects import parse_s3_uri
from clary.kernel.objects.records import Content
from clary.kernel.rooms import Platform, reconciler
from clary.kernel.store import Conflict, Entry
from clary.support.registry.exporting import COMPLETED, FAILED, IN_PROGRESS, TOPIC, CannotExport, document
from clary.support.registry.records import ExportJob

_EVERY_SECONDS = 5.0

_log = logging.getLogger("clary.registry")


@reconciler(TOPIC, every_seconds=_EVERY_SECONDS)
def reconcile(platform: Platform, key: str | None) -> float | None:
    """Carry out the export of a key `account/region/card/job`, or all that are in progress."""
    jobs = platform.records(ExportJob)
    if key is None:
        entries = jobs.all(status=IN_PROGRESS)
    else:
        account, region, name = key.split("/", 2)
        found = jobs.within(account, region).get(name)
        entries = [found] if found is not None and found.status == IN_PROGRESS else []
    for entry in entries:
        try:
            _export(platform, entry)
        except Conflict:
            continue  # it was deleted with its card, or another run has done it
        except Exception:  # noqa: BLE001 - whatever one card meets, the others must go on
            _log.exception("exporting model card %s failed; trying again", entry.name)
    return None


def _export(platform: Platform, entry: Entry[ExportJob]) -> None:
    job = entry.value
    card, _, name = entry.name.partition("/")
    bucket, prefix = parse_s3_uri(job.output)
    key = "/".join(part for part in (prefix.strip("/"), card, str(job.number), f"{name}.pdf") if part)
    try:
        made = document(card, job.number, job.card_status, job.content, entry.created_at)
        content = Content(headers={"ContentType": "application/pdf"})
        platform.objects.put_bytes(bucket, key, made, content=content, account=entry.account)
    except CannotExport as error:
        ended = replace(job, status=FAILED, failure_reason=str(error))
    except AwsError as error:
        ended = replace(job, status=FAILED, failure_reason=f"Could not write to {job.output}: {error.message}"[:1024])
    else:
        ended = replace(job, status=COMPLETED, artifact=f"s3://{bucket}/{key}")
    platform.records(ExportJob).within(entry.account, entry.region).replace(entry, ended, status=ended.status)
