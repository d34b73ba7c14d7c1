"""The canonical form of a request, as signature version 4 defines it.

Clients sign the decoded, re-encoded form of what they send. S3 encodes the path once and keeps it as it is; every
other service normalises it and encodes it twice. Text is latin-1 throughout: one character is one byte of the wire.
"""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from operator import itemgetter
from typing import Any
from urllib.parse import quote, unquote_to_bytes

_PLAIN_PATH = re.compile(r"[A-Za-z0-9\-._~/]*\Z").match
_PLAIN_QUERY = re.compile(r"[A-Za-z0-9\-._~]*(=[A-Za-z0-9\-._~]*)?\Z").match


def s3_path(path: str) -> str:
    """The canonical path of an S3 request: every byte but unreserved ones and the slash percent-encoded."""
    if _PLAIN_PATH(path):
        return path or "/"
    return quote(unquote_to_bytes(path.encode("latin-1", "replace")), safe="/-._~")


@lru_cache(maxsize=4096)
def service_path(path: str) -> str:
    """The canonical path of any other service: dot segments and empty segments removed, encoded a second time."""
    if path in {"", "/"}:
        return "/"
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            if kept:
                kept.pop()
        elif segment and segment != ".":
            kept.append(segment)
    if not kept:
        return "/"
    normal = "/" + "/".join(kept) + ("/" if path.endswith(("/", "/.", "/..")) else "")
    return normal if _PLAIN_PATH(normal) else quote(normal.encode("latin-1", "replace"), safe="/-._~")


def query(raw: str, *, without: str = "") -> str:
    """The canonical query string: pairs decoded, encoded again and sorted; the pair named `without` left out."""
    if not raw:
        return ""
    if "&" not in raw and _PLAIN_QUERY(raw) and not without:
        return raw if "=" in raw else raw + "="
    pairs = []
    for pair in raw.split("&"):
        if not pair:
            continue
        name, _, value = pair.partition("=")
        name = _encode(name)
        if name != without:
            pairs.append((name, _encode(value)))
    pairs.sort()
    return "&".join([f"{name}={value}" for name, value in pairs])


def headers(signed: tuple[str, ...], sent: Mapping[str, str]) -> str:
    """The canonical headers, each on its line; a signed header that was not sent counts as empty."""
    lines_of, values_of = _lines(signed)
    try:
        lines: str = lines_of % values_of(sent)
    except KeyError:
        lines = "".join([f"{name}:{sent.get(name, '')}\n" for name in signed])
    if lines.isascii() and not ("  " in lines or " \n" in lines or ": " in lines or "\t" in lines):
        return lines  # no value has to be trimmed
    trimmed = []
    for name in signed:
        value = sent.get(name, "")
        value = " ".join(value.split()) if "  " in value else value.strip()
        trimmed.append(f"{name}:{value}\n")
    return "".join(trimmed)


@lru_cache(maxsize=256)
def _lines(signed: tuple[str, ...]) -> tuple[str, Callable[[Mapping[str, str]], Any]]:
    """A template for the lines of these headers, and what takes its values from what was sent."""
    template = "".join([f"{name.replace('%', '%%')}:%s\n" for name in signed])
    return template, itemgetter(*signed)


def _encode(text: str) -> str:
    if _PLAIN_PATH(text) and "/" not in text:
        return text
    return quote(unquote_to_bytes(text.encode("latin-1", "replace")), safe="-._~")
