"""Classifiers of one's own, as clients make them."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

GROK = {"Classification": "app", "GrokPattern": "%{LEVEL:level} %{GREEDYDATA:text}", "CustomPatterns": "LEVEL [A-Z]+"}


def test_a_classifier_is_made_shown_changed_and_deleted(glue: Any, unique: Any) -> None:
    name = unique("logs")
    glue.create_classifier(GrokClassifier={"Name": name, **GROK})
    with pytest.raises(glue.exceptions.AlreadyExistsException):
        glue.create_classifier(CsvClassifier={"Name": name})
    shown = glue.get_classifier(Name=name)["Classifier"]["GrokClassifier"]
    assert shown.items() >= {"Name": name, "Version": 1, **GROK}.items()
    glue.update_classifier(GrokClassifier={"Name": name, "GrokPattern": "%{WORD:word}"})
    shown = glue.get_classifier(Name=name)["Classifier"]["GrokClassifier"]
    assert (shown["GrokPattern"], shown["Classification"], shown["Version"]) == ("%{WORD:word}", "app", 2)
    assert shown["LastUpdated"] >= shown["CreationTime"]
    with pytest.raises(glue.exceptions.InvalidInputException):
        glue.update_classifier(JsonClassifier={"Name": name, "JsonPath": "$[*]"})
    pages = glue.get_paginator("get_classifiers").paginate(PaginationConfig={"PageSize": 1})
    names = [next(iter(each.values()))["Name"] for page in pages for each in page["Classifiers"]]
    assert name in names
    glue.delete_classifier(Name=name)
    for call in (glue.get_classifier, glue.delete_classifier):
        with pytest.raises(glue.exceptions.EntityNotFoundException):
            call(Name=name)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "Give one of"),
        ({"GrokClassifier": {"Classification": "c", "GrokPattern": "%{NOPE:a}"}}, "no pattern NOPE"),
        ({"JsonClassifier": {"JsonPath": "a.b"}}, "begins with"),
        ({"XMLClassifier": {"Classification": "c"}}, "RowTag is missing"),
        ({"CsvClassifier": {"Delimiter": '"'}}, "must differ"),
        ({"CsvClassifier": {"Header": ["a", "A"]}}, "each column once"),
        ({"CsvClassifier": {"CustomDatatypeConfigured": True, "CustomDatatypes": ["int"]}}, "int is none of"),
    ],
)
def test_what_could_never_know_a_file_is_refused(glue: Any, given: dict[str, Any], message: str) -> None:
    named = {kind: {"Name": "wrong", **members} for kind, members in given.items()}
    with pytest.raises(ClientError, match=message) as refused:
        glue.create_classifier(**named)
    assert refused.value.response["Error"]["Code"] == "InvalidInputException"
