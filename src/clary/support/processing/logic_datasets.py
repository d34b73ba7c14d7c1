"""Inputs that are results of queries: what Athena is asked for each, and where the result lies. Pure.

The result is unloaded in the format that is asked for, below a folder of the job's own in OutputS3Uri, before the job's
first attempt begins. A query is named after the job and the input, so that asking for it again asks for the same one.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

from clary.support.processing.records import ProcessingJob

_ATHENA = "AthenaDatasetDefinition"


def queried_inputs(job: ProcessingJob) -> list[Mapping[str, Any]]:
    """The inputs that queries make."""
    return [one for one in job.request["ProcessingInputs"] if one.get("DatasetDefinition") and not one["AppManaged"]]


def data_uri(job: ProcessingJob, one: Mapping[str, Any]) -> str:
    """The folder of an input's data."""
    return f"{_folder(job, one)}/data/"


def query_of(job: ProcessingJob, one: Mapping[str, Any]) -> dict[str, Any]:
    """StartQueryExecution's request for an input."""
    query = one["DatasetDefinition"][_ATHENA]
    properties = {"format": query["OutputFormat"]}
    if query.get("OutputCompression"):
        properties["compression"] = query["OutputCompression"]
    written = ", ".join(f"{key} = '{value}'" for key, value in properties.items())
    statement = query["QueryString"].strip().rstrip("; \n\t")
    target = data_uri(job, one).replace("'", "''")
    request: dict[str, Any] = {
        "QueryString": f"UNLOAD (\n{statement}\n) TO '{target}' WITH ({written})",
        "ClientRequestToken": hashlib.sha256(f"{job.uid}/{one['InputName']}".encode()).hexdigest(),
        "QueryExecutionContext": {"Catalog": query["Catalog"], "Database": query["Database"]},
        "ResultConfiguration": {"OutputLocation": f"{_folder(job, one)}/results/"},
    }
    if query.get("WorkGroup"):
        request["WorkGroup"] = query["WorkGroup"]
    if query.get("KmsKeyId"):
        encryption = {"EncryptionOption": "SSE_KMS", "KmsKey": query["KmsKeyId"]}
        request["ResultConfiguration"] |= {"EncryptionConfiguration": encryption}
    return request


def _folder(job: ProcessingJob, one: Mapping[str, Any]) -> str:
    base = one["DatasetDefinition"][_ATHENA]["OutputS3Uri"].rstrip("/")
    return f"{base}/{job.arn.rpartition('/')[2]}-{job.uid}/{one['InputName']}"
