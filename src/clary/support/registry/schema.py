"""AWS's published schema of model cards, and a check of documents against what it uses of JSON Schema. Pure.

Written after "Model card JSON schema" and "Model package model card schema" of the SageMaker developer guide, and the
limits that the SDK keeps to. Whether a member is null or absent is the same here.
"""

import re
from collections.abc import Mapping
from typing import Any

Schema = Mapping[str, Any]


def _text(longest: int) -> Schema:
    return {"type": "string", "maxLength": longest}


def _list(items: Schema, most: int | None = None, least: int = 0) -> Schema:
    return {"type": "array", "items": items, "minItems": least, **({} if most is None else {"maxItems": most})}


def _object(required: tuple[str, ...] = (), /, **properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "required": required}


def _choice(*values: str) -> Schema:
    return {"type": "string", "enum": values}


def _metric(kinds: tuple[str, ...], value: Schema, x: Schema, y: Schema) -> Schema:
    return _object(
        ("name", "type", "value"),
        name=_named(255),
        notes=_text(1024),
        type=_choice(*kinds),
        value=value,
        x_axis_name=x,
        y_axis_name=y,
    )


def _named(longest: int) -> Schema:
    return {"type": "string", "minLength": 1, "maxLength": longest}


_NUMBER: Schema = {"type": "number"}
_AXIS = _text(63)
_AXES = _list(_text(63))
_IMAGES = _object(container_image=_list(_text(1024), 15))
_CUSTOM: Schema = {"type": "object", "additional": _text(1024)}
_TRAINING_METRIC = _object(("name", "value"), name=_named(255), notes=_text(1024), value=_NUMBER)
_HYPER_PARAMETER = _object(("name", "value"), name=_named(255), value=_text(255))
_METRIC: Schema = {
    "by_type": {
        "number": _metric(("number",), _NUMBER, _AXIS, _AXIS),
        "string": _metric(("string",), _text(63), _AXIS, _AXIS),
        "boolean": _metric(("boolean",), {"type": "boolean"}, _AXIS, _AXIS),
        "linear_graph": _metric(("linear_graph",), _list(_list(_NUMBER, 2, 2), least=1), _AXIS, _AXIS),
        "bar_chart": _metric(("bar_chart",), _list(_NUMBER, least=1), _AXES, _AXIS),
        "matrix": _metric(("matrix",), _list(_list(_NUMBER, 20, 1), 20, 1), _AXES, _AXES),
    }
}
_ARTIFACTS = _list(_text(1024), 15)
_SECTIONS: dict[str, Schema] = {
    "intended_uses": _object(
        purpose_of_model=_text(2048),
        intended_uses=_text(2048),
        factors_affecting_model_efficiency=_text(2048),
        risk_rating=_choice("High", "Medium", "Low", "Unknown"),
        explanations_for_risk_rating=_text(2048),
    ),
    "business_details": _object(
        business_problem=_text(2048), business_stakeholders=_text(2048), line_of_business=_text(2048)
    ),
    "training_details": _object(
        objective_function=_object(
            function=_object(function=_choice("Maximize", "Minimize"), facet=_text(63), condition=_text(63)),
            notes=_text(1024),
        ),
        training_observations=_text(1024),
        training_job_details=_object(
            training_arn=_text(1024),
            training_datasets=_list(_text(1024), 15),
            training_environment=_IMAGES,
            training_metrics=_list(_TRAINING_METRIC, 50),
            user_provided_training_metrics=_list(_TRAINING_METRIC, 50),
            hyper_parameters=_list(_HYPER_PARAMETER, 100),
            user_provided_hyper_parameters=_list(_HYPER_PARAMETER, 100),
        ),
    ),
    "evaluation_details": _list(
        _object(
            ("name",),
            name=_named(63),
            evaluation_observation=_text(2096),
            evaluation_job_arn=_text(256),
            datasets=_list(_text(1024), 10),
            metadata=_CUSTOM,
            metric_groups=_list(
                _object(("name", "metric_data"), name=_named(63), metric_data=_list(_METRIC)),
            ),
        )
    ),
    "additional_information": _object(
        ethical_considerations=_text(2048), caveats_and_recommendations=_text(2048), custom_details=_CUSTOM
    ),
}
_ALGORITHM = _object(("algorithm_name",), algorithm_name=_text(170), model_data_url=_text(1024))
_CONTAINER = _object(("image",), image=_text(255), model_data_url=_text(1024), nearest_model_name=_text(1024))

CARD: Schema = _object(
    (),
    model_overview=_object(
        model_id=_text(1024),
        model_name=_text(1024),
        model_description=_text(1024),
        model_version={"type": "number", "minimum": 1},
        problem_type=_text(1024),
        algorithm_type=_text(1024),
        model_creator=_text(1024),
        model_owner=_text(1024),
        model_artifact=_ARTIFACTS,
        inference_environment=_IMAGES,
    ),
    model_package_details=_object(
        model_package_description=_text(1024),
        model_package_arn=_text(1024),
        created_by=_object(user_profile_name=_text(63)),
        model_package_status=_choice("Pending", "InProgress", "Completed", "Failed", "Deleting"),
        model_approval_status=_choice("Approved", "Rejected", "PendingManualApproval"),
        approval_description=_text(1024),
        model_package_group_name=_text(63),
        model_package_name=_text(75),
        model_package_version={"type": "number", "minimum": 1},
        domain=_text(1024),
        task=_text(1024),
        source_algorithms=_list(_ALGORITHM, 15),
        inference_specification=_object(("containers",), containers=_list(_CONTAINER, 15)),
    ),
    **_SECTIONS,
)
PACKAGE_CARD: Schema = _object(
    (), model_overview=_object(model_creator=_text(1024), model_artifact=_ARTIFACTS), **_SECTIONS
)

_KINDS: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
}


def problem(value: Any, schema: Schema, path: str = "") -> str | None:
    """What is wrong with a document, with the path to it; None when it follows the schema. A member that is null is
    one that is left out."""
    if "by_type" in schema:
        kinds = schema["by_type"]
        kind = value.get("type") if isinstance(value, dict) else None
        if kind not in kinds:
            return f"{path or '/'} must be an object whose type is one of {', '.join(kinds)}"
        return problem(value, kinds[kind], path)
    expected = schema["type"]
    fits = isinstance(value, _KINDS[expected]) and not (expected == "number" and isinstance(value, bool))
    if not fits:
        return f"{path or '/'} must be of type {expected}"
    if expected == "object":
        return _problem_of_object(value, schema, path)
    if expected == "array":
        return _problem_of_array(value, schema, path)
    if expected == "number":
        return f"{path} must be at least {schema['minimum']}" if value < schema.get("minimum", value) else None
    return _problem_of_text(value, schema, path) if expected == "string" else None


def _problem_of_object(value: Mapping[str, Any], schema: Schema, path: str) -> str | None:
    properties = schema.get("properties", {})
    missing = [name for name in schema.get("required", ()) if value.get(name) is None]
    if missing:
        return f"{path or '/'} lacks {missing[0]}"
    for name, member in value.items():
        known = properties.get(name) or schema.get("additional")
        if known is None:
            return f"{path or '/'} has no member {name!r}"
        found = None if member is None else problem(member, known, f"{path}/{name}")
        if found:
            return found
    return None


def _problem_of_array(value: list[Any], schema: Schema, path: str) -> str | None:
    least, most = schema["minItems"], schema.get("maxItems")
    if len(value) < least or (most is not None and len(value) > most):
        bound = f"at most {most}" if most is not None and len(value) > most else f"at least {least}"
        return f"{path} must have {bound} items, and has {len(value)}"
    for index, item in enumerate(value):
        found = problem(item, schema["items"], f"{path}/{index}")
        if found:
            return found
    return None


def _problem_of_text(value: str, schema: Schema, path: str) -> str | None:
    if "enum" in schema and value not in schema["enum"]:
        return f"{path} must be one of {', '.join(schema['enum'])}, not {value!r}"
    if len(value) < schema.get("minLength", 0):
        return f"{path} must not be empty"
    if len(value) > schema.get("maxLength", len(value)):
        return f"{path} has {len(value)} characters, and may have {schema['maxLength']}"
    return f"{path} holds a control character" if re.search(r"[\x00-\x08]", value) else None
