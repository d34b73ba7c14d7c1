"""What the language knows of each type of step: its arguments, its properties, the members beside them.

`STEP_TYPES` holds every type that SageMaker has a definition of and Clary reads; whoever parses a definition says which
of them it can run. Types of SageMaker that are not read are in `UNREAD`, so that a definition with one is told so.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

CONDITION, FAIL, FOR_EACH = "Condition", "Fail", "ForEach"
LAMBDA, CALLBACK, CLEANUP, LINEAGE = "Lambda", "Callback", "Cleanup", "Lineage"


@dataclass(frozen=True)
class StepType:
    """A type of step.

    create: the operation whose input the arguments are, None where they are no request
    generated: members that the operation requires and the pipeline gives
    left_out: members of the operation that a pipeline does not take
    described: the operations whose outputs are the step's properties
    parts: members of the arguments that are lists of requests, and the operation of each; then `create` is None
    properties: further properties, each a single value
    maps: further properties that are maps of single values
    siblings: members of the step beside Arguments, and whether they are required
    cached: what of the arguments, and of the siblings, decides whether an earlier run is used again
    """

    name: str
    service: str = "sagemaker"
    create: str | None = None
    generated: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    described: tuple[str, ...] = ()
    parts: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    properties: frozenset[str] = frozenset()
    maps: frozenset[str] = frozenset()
    siblings: Mapping[str, bool] = field(default_factory=lambda: MappingProxyType({}))
    cached: tuple[str, ...] = ()
    retried: bool = False


_CHECK = {
    "CheckType": True,
    "ModelPackageGroupName": False,
    "SkipCheck": False,
    "FailOnViolation": False,
    "RegisterNewBaseline": False,
    "SuppliedBaselineConstraints": False,
}
_PROCESSING_KEYS = ("AppSpecification", "Environment", "ProcessingInputs")
_CHECK_KEYS = (
    "CheckType",
    "SkipCheck",
    "RegisterNewBaseline",
    "ModelPackageGroupName",
    "SuppliedBaselineConstraints",
    "SuppliedBaselineStatistics",
)

_TYPES = (
    StepType(
        "Training",
        create="CreateTrainingJob",
        generated=("TrainingJobName",),
        described=("DescribeTrainingJob",),
        cached=(
            "AlgorithmSpecification",
            "CheckpointConfig",
            "DebugHookConfig",
            "DebugRuleConfigurations",
            "Environment",
            "HyperParameters",
            "InputDataConfig",
        ),
        retried=True,
    ),
    StepType(
        "Processing",
        create="CreateProcessingJob",
        generated=("ProcessingJobName",),
        described=("DescribeProcessingJob",),
        siblings={"PropertyFiles": False},
        cached=_PROCESSING_KEYS,
        retried=True,
    ),
    StepType(
        "Transform",
        create="CreateTransformJob",
        generated=("TransformJobName",),
        described=("DescribeTransformJob",),
        cached=("DataProcessing", "Environment", "ModelName", "TransformInput"),
        retried=True,
    ),
    StepType(
        "Tuning",
        create="CreateHyperParameterTuningJob",
        generated=("HyperParameterTuningJobName",),
        described=("DescribeHyperParameterTuningJob", "ListTrainingJobsForHyperParameterTuningJob"),
        cached=(
            "HyperParameterTuningJobConfig",
            *(
                f"TrainingJobDefinition.{member}"
                for member in (
                    "AlgorithmSpecification",
                    "HyperParameterRanges",
                    "InputDataConfig",
                    "StaticHyperParameters",
                    "TuningObjective",
                )
            ),
            "TrainingJobDefinitions",
        ),
        retried=True,
    ),
    StepType(
        "Model",
        create="CreateModel",
        generated=("ModelName",),
        described=("DescribeModel",),
        retried=True,
    ),
    StepType(
        "RegisterModel",
        create="CreateModelPackage",
        left_out=("ModelPackageName", "ClientToken"),
        described=("DescribeModelPackage",),
        retried=True,
    ),
    StepType(
        "AutoML",
        create="CreateAutoMLJob",
        generated=("AutoMLJobName",),
        left_out=("ModelDeployConfig", "GenerateCandidateDefinitionsOnly"),
        described=("DescribeAutoMLJob",),
        cached=(
            *(
                f"AutoMLJobConfig.{member}"
                for member in ("CompletionCriteria", "CandidateGenerationConfig", "DataSplitConfig", "Mode")
            ),
            "AutoMLJobObjective",
            "InputDataConfig",
            "ProblemType",
        ),
        retried=True,
    ),
    StepType(
        "EndpointConfig",
        create="CreateEndpointConfig",
        generated=("EndpointConfigName",),
        described=("DescribeEndpointConfig",),
        cached=("*",),
    ),
    StepType(
        "Endpoint",
        create="CreateEndpoint",
        generated=("EndpointName",),
        described=("DescribeEndpoint",),
        cached=("*",),
    ),
    StepType(
        "InferenceComponent",
        create="CreateInferenceComponent",
        generated=("InferenceComponentName",),
        described=("DescribeInferenceComponent",),
    ),
    StepType(
        "QualityCheck",
        create="CreateProcessingJob",
        generated=("ProcessingJobName",),
        described=("DescribeProcessingJob",),
        properties=frozenset(
            (
                "CalculatedBaselineConstraints",
                "CalculatedBaselineStatistics",
                "BaselineUsedForDriftCheckConstraints",
                "BaselineUsedForDriftCheckStatistics",
            )
        ),
        siblings=_CHECK | {"SuppliedBaselineStatistics": False},
        cached=_PROCESSING_KEYS + _CHECK_KEYS,
        retried=True,
    ),
    StepType(
        "ClarifyCheck",
        create="CreateProcessingJob",
        generated=("ProcessingJobName",),
        described=("DescribeProcessingJob",),
        properties=frozenset(("CalculatedBaselineConstraints", "BaselineUsedForDriftCheckConstraints")),
        siblings=_CHECK | {"ModelName": False},
        cached=_PROCESSING_KEYS + _CHECK_KEYS,
        retried=True,
    ),
    StepType(
        LAMBDA,
        siblings={"FunctionArn": True, "OutputParameters": False},
        properties=frozenset(("OutputParameters",)),
        cached=("*", "FunctionArn"),
    ),
    StepType(
        CALLBACK,
        siblings={"SqsQueueUrl": True, "OutputParameters": False},
        properties=frozenset(("OutputParameters",)),
        cached=("*", "SqsQueueUrl"),
    ),
    StepType("Cleanup"),
    StepType(CONDITION, properties=frozenset(("Outcome",))),
    StepType(FAIL),
    StepType(CLEANUP),
    StepType(
        LINEAGE,
        parts={"Actions": "CreateAction", "Artifacts": "CreateArtifact", "Contexts": "CreateContext"},
        maps=frozenset(("ActionArns", "ArtifactArns", "ContextArns")),
    ),
    StepType(
        FOR_EACH,
        properties=frozenset(
            (
                "Status",
                "InputItemCount",
                "TotalStepCount",
                "SucceededStepCount",
                "FailedStepCount",
                "StoppedStepCount",
                "IterationOutputs",
                "Selected",
            )
        ),
    ),
)

STEP_TYPES: Mapping[str, StepType] = MappingProxyType({each.name: each for each in _TYPES})
"""By the value of a step's `Type`."""

UNREAD = frozenset(
    (
        "EMR",
        "EMRServerless",
        "Job",
        "Athena",
        "HubContent",
        "BedrockCustomModel",
        "BedrockCustomModelDeployment",
        "BedrockProvisionedModelThroughput",
        "BedrockModelImport",
    )
)
"""Types that SageMaker knows and this language does not read."""
