"""Classifiers of one's own, by which crawlers know files: grok patterns, separated values, JSON paths, tags of XML."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from clary.kernel.rooms import Context, operation
from clary.kernel.store import AlreadyExists, Entry
from clary.kernel.wire import page_asked, page_output
from clary.systems.glue_catalog.classifiers import KINDS, changed, checked
from clary.systems.glue_catalog.lookup import already_exists, invalid, not_found
from clary.systems.glue_catalog.records import Classifier


@operation("glue", "CreateClassifier")
def create_classifier(
    ctx: Context,
    GrokClassifier: Mapping[str, Any] | None = None,
    XMLClassifier: Mapping[str, Any] | None = None,
    JsonClassifier: Mapping[str, Any] | None = None,
    CsvClassifier: Mapping[str, Any] | None = None,
) -> None:
    """Add a classifier of one kind; what it says is tried out first."""
    kind, given = _one(GrokClassifier, XMLClassifier, JsonClassifier, CsvClassifier)
    checked(kind, given)
    try:
        ctx.records(Classifier).create(given["Name"], Classifier(kind, dict(given)))
    except AlreadyExists:
        raise already_exists(f"Classifier with name {given['Name']} already exists") from None


@operation("glue", "UpdateClassifier")
def update_classifier(
    ctx: Context,
    GrokClassifier: Mapping[str, Any] | None = None,
    XMLClassifier: Mapping[str, Any] | None = None,
    JsonClassifier: Mapping[str, Any] | None = None,
    CsvClassifier: Mapping[str, Any] | None = None,
) -> None:
    """Change members of a classifier, which stays of its kind; its version grows."""
    kind, given = _one(GrokClassifier, XMLClassifier, JsonClassifier, CsvClassifier)
    now = ctx.platform.clock.now()

    def change(kept: Classifier) -> Classifier:
        if kept.kind != kind:
            raise invalid(f"Classifier {given['Name']} is a {kept.kind} and cannot become a {kind}: delete it first")
        following = changed(kind, kept.input, given)
        return replace(kept, input=following, number=kept.number + 1, changed_at=now)

    if ctx.records(Classifier).update(given["Name"], change) is None:
        raise _missing(given["Name"])


@operation("glue", "GetClassifier")
def get_classifier(ctx: Context, Name: str) -> dict[str, Any]:
    """One classifier."""
    entry = ctx.records(Classifier).get(Name)
    if entry is None:
        raise _missing(Name)
    return {"Classifier": _show(entry)}


@operation("glue", "GetClassifiers")
def get_classifiers(ctx: Context, MaxResults: int | None = None, NextToken: str | None = None) -> dict[str, Any]:
    """The classifiers by name."""
    limit, position = page_asked(ctx.operation, {"MaxResults": MaxResults, "NextToken": NextToken})
    page = ctx.records(Classifier).page(limit, position)
    return page_output(ctx.operation, [_show(entry) for entry in page], page.next_token)


@operation("glue", "DeleteClassifier")
def delete_classifier(ctx: Context, Name: str) -> None:
    """Remove a classifier; crawlers that name it fail from now on, until they are told of another."""
    if not ctx.records(Classifier).delete(Name):
        raise _missing(Name)


def _one(*given: Mapping[str, Any] | None) -> tuple[str, Mapping[str, Any]]:
    found = [(kind, each) for kind, each in zip(KINDS, given, strict=True) if each is not None]
    if len(found) != 1:
        raise invalid(f"Give one of {', '.join(KINDS)}: {len(found)} were given")
    return found[0]


def _show(entry: Entry[Classifier]) -> dict[str, Any]:
    value = entry.value
    times = {"CreationTime": entry.created_at, "LastUpdated": value.changed_at or entry.created_at}
    return {value.kind: {**value.input, **times, "Version": value.number}}


def _missing(name: str) -> Exception:
    return not_found(f"Classifier {name} not found")
