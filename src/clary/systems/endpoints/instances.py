"""Instances of a variant: how they are named, and how they leave. Pure."""

from collections.abc import Iterable

from clary.kernel.core.ids import new_id
from clary.systems.endpoints.records import Fleet, Instance, Leaving

JOB_PREFIX = "endpoint-"


def new_instance(hosts: Iterable[str]) -> Instance:
    """An instance whose servers are yet to be started, named as AWS names machines."""
    identity = f"i-{new_id()[:17]}"
    return Instance(id=identity, job=job_name(identity, 1), hosts=list(hosts))


def job_name(identity: str, attempt: int) -> str:
    return f"{JOB_PREFIX}{identity}-{attempt}"


def leaves(instance: Instance, at: float) -> Leaving:
    return Leaving(instance.job, instance.hosts, at)


def is_healthy(instance: Instance) -> bool:
    return instance.healthy_since is not None and instance.unhealthy_since is None


def all_healthy(fleet: Fleet) -> bool:
    return all(is_healthy(instance) for instance in fleet.instances)


def best(instances: list[Instance], count: int) -> list[Instance]:
    """The `count` instances to keep: healthy ones first, then those that ever served, then by age."""
    if len(instances) <= count:
        return instances
    return sorted(instances, key=lambda one: (not is_healthy(one), not one.served))[:count]


def instance_of(job: str) -> str:
    """The id of the instance that a job is an attempt of."""
    return job.removeprefix(JOB_PREFIX).rpartition("-")[0]
