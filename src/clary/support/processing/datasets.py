"""Have Athena make the inputs that are results of queries, as the job's role."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from clary.kernel.core.arns import parse_arn
from clary.kernel.core.errors import AwsError
from clary.kernel.jobs.contract import InvalidSpec
from clary.kernel.rooms import Platform
from clary.kernel.rooms.roles import role_principal
from clary.support.processing.logic_datasets import queried_inputs, query_of
from clary.support.processing.records import ProcessingJob

_DONE, _ENDED = "SUCCEEDED", ("FAILED", "CANCELLED")

_Call = Callable[[str, Mapping[str, Any]], dict[str, Any]]


def queries_run(platform: Platform, job: ProcessingJob) -> bool:
    """Whether queries of the job's inputs still run; those that were not are started. Raises InvalidSpec, AwsError."""
    wanted = queried_inputs(job)
    if not wanted:
        return False
    call = _caller(platform, job)
    states = [_state(call, job, one) for one in wanted]
    return any(state != _DONE for state in states)


def stop_queries(platform: Platform, job: ProcessingJob) -> None:
    """Stop those that run. What cannot be stopped ends by itself."""
    for one in queried_inputs(job):
        try:
            call = _caller(platform, job)
            call("StopQueryExecution", {"QueryExecutionId": _started(call, job, one)})
        except AwsError:
            continue


def _state(call: _Call, job: ProcessingJob, one: Mapping[str, Any]) -> str:
    found = call("GetQueryExecution", {"QueryExecutionId": _started(call, job, one)})
    status: dict[str, Any] = found["QueryExecution"]["Status"]
    if status["State"] in _ENDED:
        reason = status.get("StateChangeReason") or f"it is {status['State']}"
        raise InvalidSpec(f"the query of input {one['InputName']!r} did not succeed: {reason}")
    return str(status["State"])


def _started(call: _Call, job: ProcessingJob, one: Mapping[str, Any]) -> str:
    """The id of an input's query, which its token makes the same one whenever it is started."""
    return str(call("StartQueryExecution", query_of(job, one))["QueryExecutionId"])


def _caller(platform: Platform, job: ProcessingJob) -> _Call:
    """Calls of Athena as the job's role. Raises ValidationException when that is gone."""
    principal, arn = role_principal(platform, job.role), parse_arn(job.arn)

    def call(operation: str, params: Mapping[str, Any]) -> dict[str, Any]:
        ctx = platform.acting_as_root(arn.account, arn.region, "athena", operation)
        return platform.registry.call(replace(ctx, principal=principal), params)

    return call
