"""Every operation that a room claims is AWS's own: its name, its members, what is required, how it pages."""

import inspect
import string

import botocore.session
import pytest
from botocore import xform_name

from clary.kernel.rooms import Registry

HANDLERS = Registry().handlers
SESSION = botocore.session.get_session()

handlers = pytest.mark.parametrize(
    ("service", "name"), sorted(HANDLERS), ids=[":".join(key) for key in sorted(HANDLERS)]
)


def model(service, name):
    return SESSION.get_service_model(service).operation_model(name)


def parameters(service, name):
    first, *rest = inspect.signature(HANDLERS[service, name].function).parameters.values()
    assert first.name == "ctx"
    return {each.name: each for each in rest if each.kind is not each.VAR_KEYWORD}


def test_there_are_rooms_to_look_at():
    assert len(HANDLERS) > 100


@handlers
def test_an_operation_exists_and_its_handler_is_named_for_it(service, name):
    assert name in SESSION.get_service_model(service).operation_names
    function = HANDLERS[service, name].function
    assert function.__name__ in _names(function)


def _names(function):
    """The names of the operations that a function handles: one that handles several is named for one of them."""
    return {xform_name(name) for (_, name), handler in HANDLERS.items() if handler.function is function}


@handlers
def test_parameters_are_members_and_only_optional_ones_have_a_default(service, name):
    shape = model(service, name).input_shape
    members = set(shape.members) if shape else set()
    required = set(shape.required_members) if shape else set()
    given = parameters(service, name)
    takes_all = HANDLERS[service, name].members is None
    assert set(given) <= members, "not members of the input"
    assert takes_all or required <= set(given), "required members that the handler does not take"
    for each in given.values():
        has_default = each.default is not each.empty
        assert has_default == (each.name not in required), f"{each.name}: exactly the optional members have a default"


@handlers
def test_an_operation_that_pages_takes_the_token_of_the_next_page(service, name):
    pager = SESSION.get_service_model(service)
    paginators = SESSION.get_component("data_loader").load_service_model(service, "paginators-1")["pagination"]
    if name not in paginators or HANDLERS[service, name].members is None:
        return
    tokens = paginators[name]["input_token"]
    wanted = {tokens} if isinstance(tokens, str) else set(tokens)
    assert wanted <= set(parameters(service, name)), f"{pager.service_name} pages {name} by {wanted}"


@handlers
def test_the_resource_that_is_authorised_is_named_by_members(service, name):
    template = HANDLERS[service, name].claim.resource
    if not isinstance(template, str):
        return  # made from them by a function, which `test_authorisation` calls
    shape = model(service, name).input_shape
    members = set(shape.members) if shape else set()
    fields = {field for _, field, _, _ in string.Formatter().parse(template) if field}
    assert fields <= members
