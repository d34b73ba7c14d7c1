"""AWS's services as the installed botocore describes them: operations, shapes, errors, paginators.

The JSON is read through botocore's own loader, one service at a time and only when first asked for; operations
and shapes are built when first looked at, so that a service with 3,000 shapes costs what is used of it.
What the SDK adds for its own side (`sdk-extras`) is left out: a server sees the service's model.
"""

import gzip
from collections.abc import Iterator, Mapping
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from clary.kernel.wire import sqs_query
from clary.kernel.wire.compiled import Compiled

if TYPE_CHECKING:
    from botocore.loaders import Loader

SERVICES = (
    "sagemaker",
    "sagemaker-runtime",
    "sagemaker-a2i-runtime",
    "sagemaker-featurestore-runtime",
    "sagemaker-metrics",
    "sagemaker-edge",
    "sagemaker-inference-router-runtime",
    "sagemakerjobruntime",
    "sagemakertrainingsessionruntime",
    "s3",
    "sts",
    "iam",
    "logs",
    "cloudwatch",
    "ecr",
    "lambda",
    "sns",
    "sqs",
    "events",
    "scheduler",
    "application-autoscaling",
    "glue",
    "athena",
    "emr",
    "kinesis",
    "firehose",
    "textract",
    "rekognition",
)
"""Every service Clary answers for, by botocore's name."""


def service(name: str) -> "Service":
    """The service botocore calls `name`, at its newest API version: one object. Raises KeyError outside SERVICES."""
    return _services[name]


def _load_service(name: str) -> "Service":
    if name not in SERVICES:
        raise KeyError(name)
    model = load_model(name, "service-2")
    return Service(name, sqs_query.with_error_codes(model) if name == "sqs" else model)


@cache
def query_service(name: str) -> "Service":
    """The service as the query protocol has it; for all but SQS that is the service as it is."""
    return Service(name, sqs_query.as_query(load_model(name, "service-2"))) if name == "sqs" else service(name)


_services: Compiled[str, "Service"] = Compiled(_load_service)


def load_model(name: str, kind: str) -> dict[str, Any]:
    """botocore's JSON of a service: `service-2`, `paginators-1`, ... Raises DataNotFoundError."""
    loader = _loader()
    version = loader.determine_latest_version(name, "service-2")
    found: dict[str, Any] = loader.load_data(f"{name}/{version}/{kind}")
    return found


@cache
def _loader() -> "Loader":
    from botocore.loaders import JSONFileLoader, Loader  # here, because it takes 0.3 s and not every command needs it

    class FastJson(JSONFileLoader):
        """botocore's file loader, with a parser that reads SageMaker's 2.6 MB in 15 ms instead of 70."""

        def load_file(self, file_path: str) -> Any:
            packed, plain = Path(file_path + ".json.gz"), Path(file_path + ".json")
            if packed.is_file():
                return orjson.loads(gzip.decompress(packed.read_bytes()))
            return orjson.loads(plain.read_bytes()) if plain.is_file() else None

    return Loader([Loader.BUILTIN_DATA_PATH], file_loader=FastJson(), include_default_search_paths=False)


class Member:
    """One use of a shape: by a structure's member, a list's element, a map's key or value, or an operation.

    `wire_name` is the model's locationName (None: the member's own name). Traits at the use win over the shape's.
    """

    def __init__(self, name: str, shape: "Shape", traits: Mapping[str, Any]) -> None:
        both = {**shape.traits, **traits}
        self.name = name
        self.shape = shape
        self.wire_name: str | None = both.get("locationName")
        self.location: str | None = both.get("location")
        self.flattened: bool = both.get("flattened", False)
        self.xml_namespace: str | Mapping[str, str] | None = both.get("xmlNamespace")
        self.xml_attribute: bool = both.get("xmlAttribute", False)
        self.timestamp_format: str | None = both.get("timestampFormat")
        self.jsonvalue: bool = both.get("jsonvalue", False)
        self.streaming: bool = both.get("streaming", False)
        self.idempotency_token: bool = both.get("idempotencyToken", False)
        self.event_payload: bool = both.get("eventpayload", False)
        self.event_header: bool = both.get("eventheader", False)

    @property
    def key(self) -> str:
        """The name on the wire."""
        return self.wire_name or self.name

    def __repr__(self) -> str:
        return f"Member({self.name}: {self.shape.name})"


class Shape:
    """A type of a service's model. One object a name, so that a recursive type is a cycle here too."""

    def __init__(self, service_: "Service", name: str, traits: Mapping[str, Any]) -> None:
        self.service = service_
        self.name = name
        self.traits = traits
        self.type: str = traits["type"]
        self.required: tuple[str, ...] = tuple(traits.get("required", ()))
        self.min: float | None = traits.get("min")
        self.max: float | None = traits.get("max")
        self.pattern: str | None = traits.get("pattern")
        self.enum: tuple[str, ...] = tuple(traits.get("enum", ()))
        self.payload: str | None = traits.get("payload")
        self.union: bool = traits.get("union", False)
        self.document: bool = traits.get("document", False)
        self.event_stream: bool = traits.get("eventstream", False)
        self.exception: bool = traits.get("exception", False)
        self.sensitive: bool = traits.get("sensitive", False)
        self.box: bool = traits.get("box", False)

    def _use(self, name: str, traits: Mapping[str, Any]) -> Member:
        return Member(name, self.service.shape(traits["shape"]), traits)

    @cached_property
    def members(self) -> dict[str, Member]:
        """A structure's members in the model's order; empty for every other type."""
        return {name: self._use(name, traits) for name, traits in self.traits.get("members", {}).items()}

    @cached_property
    def member(self) -> Member:
        """A list's element."""
        return self._use("member", self.traits["member"])

    @cached_property
    def key(self) -> Member:
        return self._use("key", self.traits["key"])

    @cached_property
    def value(self) -> Member:
        return self._use("value", self.traits["value"])

    @property
    def parts(self) -> tuple[Member, ...]:
        """Every use this shape makes of another."""
        if self.type == "structure":
            return tuple(self.members.values())
        if self.type == "list":
            return (self.member,)
        return (self.key, self.value) if self.type == "map" else ()

    def __repr__(self) -> str:
        return f"Shape({self.service.name}.{self.name}: {self.type})"


class ErrorShape:
    """An error a service models. `name` is its shape's; `code` what the query protocol and old clients call it."""

    def __init__(self, shape: Shape) -> None:
        error = shape.traits.get("error", {})
        fault: bool = shape.traits.get("fault", False)
        self.shape = shape
        self.name = shape.name
        self.code: str = error.get("code", shape.name)
        self.status: int = error.get("httpStatusCode", 500 if fault else 400)
        self.sender_fault: bool = error.get("senderFault", not fault and self.status < 500)


class Operation:
    """One operation of a service. `input` and `output` are None where it takes or gives nothing."""

    def __init__(self, service_: "Service", traits: Mapping[str, Any]) -> None:
        self.service = service_
        self.name: str = traits["name"]
        self.traits = traits
        self.method: str = traits["http"]["method"]
        self.uri: str = traits["http"]["requestUri"]
        self.status: int = traits["http"].get("responseCode", 200)
        self.host_prefix: str | None = traits.get("endpoint", {}).get("hostPrefix")
        self.result_wrapper: str | None = traits.get("output", {}).get("resultWrapper")

    def __repr__(self) -> str:
        return f"Operation({self.service.name}.{self.name})"

    def _top(self, which: str) -> Member | None:
        traits = self.traits.get(which)
        return Member(which, self.service.shape(traits["shape"]), traits) if traits else None

    @cached_property
    def input_use(self) -> Member | None:
        """The input with the traits of its use here (S3 names some XML roots there)."""
        return self._top("input")

    @cached_property
    def output_use(self) -> Member | None:
        return self._top("output")

    @property
    def input(self) -> Shape | None:
        return self.input_use.shape if self.input_use else None

    @property
    def output(self) -> Shape | None:
        return self.output_use.shape if self.output_use else None

    @cached_property
    def errors(self) -> dict[str, ErrorShape]:
        """The errors this operation lists, under their shape's name and under their query code."""
        found: dict[str, ErrorShape] = {}
        for traits in self.traits.get("errors", ()):
            error = ErrorShape(self.service.shape(traits["shape"]))
            found[error.name] = error
            found.setdefault(error.code, error)
        return found

    def error(self, code: str) -> ErrorShape | None:
        """The modelled error that `code` names: this operation's first, then any of the service's."""
        return self.errors.get(code) or self.service.errors.get(code)

    @cached_property
    def streaming_input(self) -> str | None:
        """The input member whose bytes are passed on as they arrive (PutObject's Body)."""
        return _stream(self.input)

    @cached_property
    def streaming_output(self) -> str | None:
        return _stream(self.output)

    @cached_property
    def event_stream(self) -> Member | None:
        """The output member that is a stream of events, if there is one."""
        members = self.output.members.values() if self.output else ()
        return next((member for member in members if member.shape.event_stream), None)

    @cached_property
    def paginator(self) -> Mapping[str, Any] | None:
        """botocore's paginator: input_token, output_token, limit_key, result_key, more_results."""
        return self.service.paginators.get(self.name)

    @cached_property
    def idempotency_tokens(self) -> tuple[str, ...]:
        members = self.input.members.values() if self.input else ()
        return tuple(member.name for member in members if member.idempotency_token)


def _stream(shape: Shape | None) -> str | None:
    if shape is None or shape.payload is None:
        return None
    member = shape.members[shape.payload]
    return member.name if member.streaming and member.shape.type == "blob" else None


class _Operations(Mapping[str, Operation]):
    """Operations by name, each built when first asked for."""

    def __init__(self, service_: "Service", traits: Mapping[str, Any]) -> None:
        self._service = service_
        self._traits = traits
        self._built: dict[str, Operation] = {}

    def __getitem__(self, name: str) -> Operation:
        found = self._built.get(name)
        if found is None:
            found = self._built.setdefault(name, Operation(self._service, self._traits[name]))
        return found

    def __contains__(self, name: object) -> bool:
        return name in self._traits

    def __iter__(self) -> Iterator[str]:
        return iter(self._traits)

    def __len__(self) -> int:
        return len(self._traits)


class Service:
    """A service of AWS as botocore models it."""

    def __init__(self, name: str, model: Mapping[str, Any]) -> None:
        metadata = model["metadata"]
        self.name = name
        self.model = model
        self.metadata: Mapping[str, Any] = metadata
        self.api_version: str = metadata["apiVersion"]
        self.protocols: tuple[str, ...] = tuple(metadata.get("protocols") or [metadata["protocol"]])
        self.signing_name: str = metadata.get("signingName") or metadata.get("endpointPrefix", "")
        self.target_prefix: str | None = metadata.get("targetPrefix")
        self.json_version: str = metadata.get("jsonVersion", "1.1")
        self.query_compatible: bool = "awsQueryCompatible" in metadata
        self.xml_namespace: str | None = metadata.get("xmlNamespace")
        self.operations: Mapping[str, Operation] = _Operations(self, model["operations"])
        self._shape_traits: Mapping[str, Any] = model["shapes"]
        self._shapes: dict[str, Shape] = {}

    def __repr__(self) -> str:
        return f"Service({self.name})"

    def shape(self, name: str) -> Shape:
        found = self._shapes.get(name)
        if found is None:
            # setdefault: two threads that build the same shape must end with one object
            found = self._shapes.setdefault(name, Shape(self, name, self._shape_traits[name]))
        return found

    @cached_property
    def errors(self) -> dict[str, ErrorShape]:
        """Every error the service models, under its shape's name and, where that is free, its query code."""
        shapes = [self.shape(name) for name, traits in self._shape_traits.items() if traits.get("exception")]
        found = {shape.name: ErrorShape(shape) for shape in shapes}
        for error in list(found.values()):
            found.setdefault(error.code, error)
        return found

    @cached_property
    def paginators(self) -> Mapping[str, Mapping[str, Any]]:
        from botocore.exceptions import DataNotFoundError

        try:
            found: Mapping[str, Mapping[str, Any]] = load_model(self.name, "paginators-1")["pagination"]
        except DataNotFoundError:
            return {}
        return found
