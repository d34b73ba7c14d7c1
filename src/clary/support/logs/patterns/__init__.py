"""The filter pattern language of CloudWatch Logs.

    ERROR "exit code" -retry        terms: all must appear, those with a minus must not
    ?ERROR ?WARN                    at least one must appear
    %4[0-9]{2}%                     a regular expression
    { $.latency > 5 && $.code = 4* }   fields of a JSON document
    [ip, ..., status = 5*, bytes]   fields separated by spaces

An empty pattern matches everything. Matching is case sensitive.
"""

from clary.support.logs.patterns.conditions import PatternError
from clary.support.logs.patterns.json_fields import compile_json
from clary.support.logs.patterns.pattern import Pattern
from clary.support.logs.patterns.terms import compile_terms
from clary.support.logs.patterns.words import compile_words

__all__ = ["Pattern", "PatternError", "compile_pattern"]


def compile_pattern(text: str) -> Pattern:
    """The pattern that `text` says. Raises PatternError, whose message says where it went wrong."""
    stripped = text.strip()
    if stripped.startswith("{"):
        return compile_json(stripped)
    if stripped.startswith("["):
        return compile_words(stripped)
    return compile_terms(stripped)
