"""The kinds of resource of this room, with the errors AWS answers for names that are missing or taken."""

from clary.kernel.rooms.resources import Resource
from clary.systems.endpoints.records import Endpoint, EndpointConfig, Model

_CODE = "ValidationException"

MODELS = Resource(
    "sagemaker",
    "model",
    Model,
    missing=(_CODE, 'Could not find model "{arn}".'),
    taken=(_CODE, 'Cannot create already existing model "{arn}".'),
)
CONFIGS = Resource(
    "sagemaker",
    "endpoint-config",
    EndpointConfig,
    missing=(_CODE, 'Could not find endpoint configuration "{arn}".'),
    taken=(_CODE, 'Cannot create already existing endpoint configuration "{arn}".'),
)
ENDPOINTS = Resource(
    "sagemaker",
    "endpoint",
    Endpoint,
    missing=(_CODE, 'Could not find endpoint "{arn}".'),
    taken=(_CODE, 'Cannot create already existing endpoint "{arn}".'),
)
