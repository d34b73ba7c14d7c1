"""What is stored of pipelines: the pipeline, its versions, its executions, and the steps that these have begun.

Deleting a pipeline deletes all of it. Times are epoch seconds.
"""

from dataclasses import dataclass, field
from typing import Any

from clary.kernel.store import record


@record("pipeline", version=1)
@dataclass(frozen=True, slots=True)
class Pipeline:
    """A pipeline by its name.

    `uid` tells it from others that had its name; `role` is the RoleArn that was passed and `acting` the role its steps
    act as. `version` is the latest version, `versions` how many there are. `aliases` lead to versions, `latest_runs`
    from versions to the last execution of each. `token` is the ClientRequestToken that made it.
    """

    uid: str
    role: str
    acting: str
    token: str
    version: int
    modified_at: float
    display_name: str = ""
    description: str = ""
    parallelism: int | None = None
    last_run: float | None = None
    aliases: dict[str, int] = field(default_factory=dict)
    latest_runs: dict[str, str] = field(default_factory=dict)

    def aliases_of(self, version: int) -> list[str]:
        return [alias for alias, number in self.aliases.items() if number == version]


@record("pipeline_version", version=1)
@dataclass(frozen=True, slots=True)
class PipelineVersion:
    """One definition of a pipeline, which never changes; what is said about it may. Its parent is the pipeline."""

    pipeline: str
    uid: str
    number: int
    definition: str
    display_name: str = ""
    description: str = ""


@record("pipeline_execution", version=1)
@dataclass(frozen=True, slots=True)
class PipelineExecution:
    """One run of a version, by its id; its parent is the pipeline's name.

    `parameters` are those of the definition with their values in this run, `parallelism` the greatest number of steps
    at once, None for no limit. `asked` says by which tokens it was started, stopped and retried, and `request` is the
    fingerprint of how it was started. `run` counts how often it was begun: the first time, and each time it is retried.
    """

    pipeline: str
    uid: str
    version: int
    acting: str
    status: str
    modified_at: float
    parameters: dict[str, Any]
    request: str
    asked: dict[str, str] = field(default_factory=dict)
    display_name: str = ""
    description: str = ""
    parallelism: int | None = None
    selective: dict[str, Any] | None = None
    experiment: dict[str, Any] | None = None
    failure_reason: str = ""
    run: int = 1


@record("pipeline_step", version=1)
@dataclass(frozen=True, slots=True)
class PipelineStep:
    """A step that an execution has begun, named `<execution>/<step>`; its parent is the execution.

    `number` is how many had begun before it. `job` is the name of what the step makes, chosen and recorded before it is
    made; `arn` is there once it was made. `attempt` counts tries in this run of the execution. `failure` is the
    exception type that retry policies know the last failure by; `retries` says of each such type how often the step was
    tried again, and when it first failed so; `retry_at` is when the next attempt may begin. `outputs` are the output
    parameters of a function or a callback, `outcome` of a condition. `shown` is what metadata and references tell
    besides. `cache_hit` and `reused` are the ARNs of executions that did the work. A child of a ForEach has its `index`
    and its `item`; the ForEach all items.
    """

    step: str
    type: str
    status: str
    run: int
    started_at: float
    number: int = 0
    attempt: int = 1
    job: str = ""
    arn: str = ""
    ended_at: float | None = None
    failure_reason: str = ""
    failure: str = ""
    retry_at: float | None = None
    retries: dict[str, list[float]] = field(default_factory=dict)
    cache_key: str = ""
    cache_hit: str = ""
    reused: str = ""
    outcome: str = ""
    outputs: dict[str, Any] = field(default_factory=dict)
    token: str = ""
    queue: str = ""
    shown: dict[str, Any] = field(default_factory=dict)
    body_of: str = ""
    index: int | None = None
    item: Any = None


@record("pipeline_callback", version=1)
@dataclass(frozen=True, slots=True)
class PipelineCallback:
    """A callback's token leads to its step; its parent is the pipeline.

    `answer` is what SendPipelineExecutionStepSuccess or -Failure said, by the token `asked`, until the step takes it.
    """

    execution: str
    step: str
    attempt: int
    run: int
    asked: str = ""
    answer: dict[str, Any] | None = None


@record("pipeline_cache", version=1)
@dataclass(frozen=True, slots=True)
class PipelineCache:
    """The last success of a step of a pipeline with a cache key, named `<pipeline>/<step>/<key>`."""

    execution: str
    step: str
    ended_at: float
