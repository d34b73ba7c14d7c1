"""Files of lines that a grok pattern takes apart: the logs that Glue knows, and those of classifiers of one's own."""

from collections.abc import Mapping
from functools import cache

from clary.lake.formats.grok import Grok, compile_grok
from clary.lake.inference.found import Found
from clary.lake.inference.merging import STRING
from clary.lake.inference.unpacking import Head
from clary.lake.tables import GROK, Column
from clary.lake.types import parse_type

# In the order in which they are tried.
LOGS: Mapping[str, str] = {
    "combined_apache": "%{COMBINEDAPACHELOG}",
    "apache": "%{COMMONAPACHELOG}",
    "linux_kernel": "%{LINUXKERNELLOG}",
    "microsoft_log": "%{MICROSOFTLOG}",
    "ruby_logger": "%{RUBY_LOGGER}",
    "squid": "%{SQUID3}",
    "redismonlog": "%{REDISMONLOG}",
    "redislog": "%{REDISLOG}",
    "syslog": "%{SYSLOGBASE} *%{GREEDYDATA:message}",
}
_MOST_LINES = 1000
_LONGEST_LINE = 64 * 1024
_SEEN = 0.9  # of the lines; logs hold a strange one now and then


def find_log(head: Head, classification: str, pattern: str, custom: str = "") -> Found | None:
    """What a file is if nearly all of its lines are as the pattern says. Raises ValueError where it is no pattern."""
    grok = _compiled(pattern, custom)
    lines = _lines(head)
    if not lines or sum(grok.match(line) is not None for line in lines) < _SEEN * len(lines):
        return None
    serde = {"input.format": pattern} | ({"input.grokCustomPatterns": custom} if custom else {})
    properties = {"grokPattern": pattern} | ({"grokCustomPatterns": custom} if custom else {})
    types = {name.lower(): parse_type(type_) for name, type_ in grok.fields}
    return Found(
        classification,
        tuple(Column(name, type_ or STRING) for name, type_ in types.items()),
        head.compression,
        GROK,
        serde,
        properties,
        records=head.data.count(b"\n") if head.whole else 0,
        record_bytes=max(sum(map(len, lines)) // len(lines) + 1, 1),
    )


def find_known_log(head: Head) -> Found | None:
    """What a file is if it is one of the logs that Glue knows."""
    for classification, pattern in LOGS.items():
        found = find_log(head, classification, pattern)
        if found is not None:
            return found
    return None


def _lines(head: Head) -> list[str]:
    if b"\0" in head.data[:4096]:
        return []
    text = head.data.decode("utf-8", "replace").lstrip("\ufeff")
    lines = text.splitlines() if head.whole else text.splitlines()[:-1]
    return [line[:_LONGEST_LINE] for line in lines[:_MOST_LINES] if line.strip()]


@cache
def _compiled(pattern: str, custom: str) -> Grok:
    return compile_grok(pattern, custom)
