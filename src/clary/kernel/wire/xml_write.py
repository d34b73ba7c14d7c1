"""Writers of XML, compiled from shapes: each appends the text of one element, tags included, to a list of parts."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from clary.kernel.wire.messages import OutputError
from clary.kernel.wire.models import Member, Shape
from clary.kernel.wire.scalars import TIMESTAMP_WRITERS, Timestamp, text_writer

Append = Callable[[str], None]
Write = Callable[[Any, Append], None]


class Written(str):
    """Elements as text already, in place of the list they stand for: for lists too long to be written one by one."""

    __slots__ = ()


_SPECIAL = re.compile(r"[&<>\x00-\x08\x0a-\x1f\x7f\x85\u2028]")
_find_special = _SPECIAL.search
_NAMED = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def escape(text: str) -> str:
    """Text for an element. Control characters become references, as S3 writes keys that hold them."""
    if _find_special(text) is None:
        return text
    return _SPECIAL.sub(lambda found: _NAMED.get(found[0]) or f"&#x{ord(found[0]):x};", text)


def escape_attribute(text: str) -> str:
    return escape(text).replace('"', "&quot;")


class XmlWriter:
    """Compiles writers. `iso8601` is how this protocol writes timestamps that name no format."""

    def __init__(self, iso8601: Callable[[Timestamp], str] = TIMESTAMP_WRITERS["iso8601"]) -> None:
        self._iso8601 = iso8601
        self._structures: dict[tuple[Shape, str, str], Write] = {}

    def writer(self, use: Member, tag: str, namespace: str | None = None) -> Write:
        """Writes a value of `use` as the element `tag`; a flattened list or map as elements without a parent."""
        shape = use.shape
        attribute = _namespace(use, namespace)
        if shape.type == "structure":
            return self._structures.get((shape, tag, attribute)) or self._structure(shape, tag, attribute)
        if shape.type == "list":
            return self._list(use, tag, attribute)
        if shape.type == "map":
            return self._map(use, tag, attribute)
        return self._scalar(use, tag, attribute)

    def members_writer(self, where: str, members: Mapping[str, Member]) -> Write:
        """Writes the given members without an element around them."""
        fields: dict[str, Write] = {name: self.writer(use, use.key) for name, use in members.items()}

        def write(value: Any, append: Append) -> None:
            for name, item in value.items():
                if item is not None:
                    _field(where, fields, name)(item, append)

        return write

    def _structure(self, shape: Shape, tag: str, attribute: str) -> Write:
        attributes = {name: use.key for name, use in shape.members.items() if use.xml_attribute}
        fields: dict[str, Write] = {}
        # Scalars are written in place: a listing's entries hold little else, and a call each would double its time
        scalars: dict[str, tuple[str, Callable[[Any], str], str]] = {}
        where, opening, closing = shape.name, f"<{tag}{attribute}>", f"</{tag}>"

        def write(value: Any, append: Append) -> None:
            append(opening)
            for name, item in value.items():
                if item is None:
                    continue
                if name in scalars:
                    before, convert, after = scalars[name]
                    append(f"{before}{convert(item)}{after}")
                else:
                    _field(where, fields, name)(item, append)
            append(closing)

        def write_with_attributes(value: Any, append: Append) -> None:
            extra = "".join(
                f' {key}="{escape_attribute(str(value[name]))}"' for name, key in attributes.items() if value.get(name)
            )
            append(f"<{tag}{attribute}{extra}>")
            for name, item in value.items():
                if item is not None and name not in attributes:
                    _field(where, fields, name)(item, append)
            append(closing)

        chosen = write_with_attributes if attributes else write
        self._structures[shape, tag, attribute] = chosen
        for name, use in shape.members.items():
            fields[name] = self.writer(use, use.key)
            if use.shape.type not in ("structure", "list", "map"):
                scalars[name] = self._scalar_parts(use, use.key, _namespace(use, None))
        return chosen

    def _list(self, use: Member, tag: str, attribute: str) -> Write:
        element = use.shape.member
        if use.flattened:
            write_item = self.writer(element, tag)

            def write_flat(value: Any, append: Append) -> None:
                if isinstance(value, Written):
                    append(value)
                    return
                for item in value:
                    write_item(item, append)

            return write_flat
        write_member = self.writer(element, element.wire_name or "member")
        opening, closing = f"<{tag}{attribute}>", f"</{tag}>"

        def write(value: Any, append: Append) -> None:
            append(opening)
            for item in value:
                write_member(item, append)
            append(closing)

        return write

    def _map(self, use: Member, tag: str, attribute: str) -> Write:
        shape = use.shape
        write_key = self.writer(shape.key, shape.key.wire_name or "key")
        write_value = self.writer(shape.value, shape.value.wire_name or "value")
        entry = tag if use.flattened else "entry"

        def write_entries(value: Any, append: Append) -> None:
            for key, item in value.items():
                append(f"<{entry}>")
                write_key(key, append)
                write_value(item, append)
                append(f"</{entry}>")

        if use.flattened:
            return write_entries
        opening, closing = f"<{tag}{attribute}>", f"</{tag}>"

        def write(value: Any, append: Append) -> None:
            append(opening)
            write_entries(value, append)
            append(closing)

        return write

    def _scalar(self, use: Member, tag: str, attribute: str) -> Write:
        opening, convert, closing = self._scalar_parts(use, tag, attribute)

        def write(value: Any, append: Append) -> None:
            append(f"{opening}{convert(value)}{closing}")

        return write

    def _scalar_parts(self, use: Member, tag: str, attribute: str) -> tuple[str, Callable[[Any], str], str]:
        """What comes before a scalar, how it becomes text, and what comes after."""
        type_ = use.shape.type
        convert: Callable[[Any], str]
        if type_ == "string":
            convert = escape
        elif type_ == "timestamp" and use.timestamp_format in (None, "iso8601"):
            convert = self._iso8601
        else:
            convert = text_writer(type_, use.timestamp_format or "iso8601")
        return f"<{tag}{attribute}>", convert, f"</{tag}>"


def _field(where: str, fields: Mapping[str, Write], name: str) -> Write:
    try:
        return fields[name]
    except KeyError:
        raise OutputError(f"{where} has no member {name!r}") from None


def _namespace(use: Member, namespace: str | None) -> str:
    if namespace is not None:
        return f' xmlns="{namespace}"'
    if use.xml_namespace is None:
        return ""
    if isinstance(use.xml_namespace, str):
        return f' xmlns="{use.xml_namespace}"'
    prefix = use.xml_namespace.get("prefix")
    return f' xmlns{":" + prefix if prefix else ""}="{use.xml_namespace["uri"]}"'
