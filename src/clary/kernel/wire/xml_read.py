"""XML bodies: a safe parser into small nodes, and readers compiled from shapes.

Document types and entities are refused outright (no expansion, no external fetch), depth is bounded, and names are
matched without their namespace prefix, as S3 does.
"""

from collections.abc import Callable, Mapping
from typing import Any
from xml.parsers.expat import ExpatError, ParserCreate

from clary.kernel.core.errors import AwsError
from clary.kernel.wire.models import Member, Shape
from clary.kernel.wire.scalars import text_reader

MAX_DEPTH = 64
Read = Callable[["Node"], Any]


def malformed(message: str) -> AwsError:
    return AwsError("MalformedXML", message, status=400)


class Node:
    """An element: local name, attributes, child elements, and the text of its own."""

    __slots__ = ("_pieces", "attributes", "children", "tag")

    def __init__(self, tag: str, attributes: dict[str, str]) -> None:
        self.tag = tag
        self.attributes = attributes
        self.children: list[Node] = []
        self._pieces: list[str] = []

    def add_text(self, piece: str) -> None:
        self._pieces.append(piece)

    @property
    def text(self) -> str:
        return "".join(self._pieces)


def parse(body: bytes) -> Node:
    """The root of an XML document. Anything but well-formed, plain XML is MalformedXML."""
    parser = ParserCreate()
    parser.buffer_text = True
    top = Node("", {})
    stack = [top]

    def start(tag: str, attributes: dict[str, str]) -> None:
        if len(stack) > MAX_DEPTH:
            raise malformed("The XML you provided is nested too deeply.")
        node = Node(tag.rpartition(":")[2], attributes)
        stack[-1].children.append(node)
        stack.append(node)

    def end(_tag: str) -> None:
        stack.pop()

    def text(data: str) -> None:
        stack[-1].add_text(data)

    def refuse(*_declaration: object) -> None:
        raise malformed("The XML you provided declares a document type, which is not allowed.")

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = text
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(body, True)
    except (ExpatError, ValueError, LookupError):  # LookupError: an encoding Python does not know
        raise malformed(
            "The XML you provided was not well-formed or did not validate against our published schema"
        ) from None
    return top.children[0]


class XmlReader:
    """Compiles readers of nodes; one cache for all shapes."""

    def __init__(self) -> None:
        self._structures: dict[Shape, Read] = {}

    def reader(self, use: Member) -> Read:
        """Reads the element (for a flattened list: one of its elements) that holds a value of `use`."""
        shape = use.shape
        if shape.type == "structure":
            return self._structures.get(shape) or self._structure(shape)
        if shape.type == "list":
            return self._list(shape)
        if shape.type == "map":
            return self._map(shape)
        return _scalar(use)

    def _structure(self, shape: Shape) -> Read:
        fields: dict[str, tuple[str, Read, str]] = {}
        attributes: dict[str, str] = {}
        self._structures[shape] = read = _fields_reader(fields, attributes)
        self._fill(fields, attributes, shape.members)
        return read

    def fields_reader(self, members: Mapping[str, Member]) -> Read:
        """Reads the given members from an element: an operation's body members."""
        fields: dict[str, tuple[str, Read, str]] = {}
        attributes: dict[str, str] = {}
        self._fill(fields, attributes, members)
        return _fields_reader(fields, attributes)

    def _fill(
        self, fields: dict[str, tuple[str, Read, str]], attributes: dict[str, str], members: Mapping[str, Member]
    ) -> None:
        for name, use in members.items():
            if use.xml_attribute:
                attributes[use.key] = name
            elif use.flattened and use.shape.type == "list":
                fields[use.key] = (name, self.reader(use.shape.member), "list")
            elif use.flattened and use.shape.type == "map":
                fields[use.key] = (name, self._entry(use.shape), "map")
            else:
                fields[use.key] = (name, self.reader(use), "one")

    def _list(self, shape: Shape) -> Read:
        element = self.reader(shape.member)
        tag = shape.member.wire_name or "member"
        return lambda node: [element(child) for child in node.children if child.tag == tag]

    def _entry(self, shape: Shape) -> Read:
        key_tag, value_tag = shape.key.wire_name or "key", shape.value.wire_name or "value"
        key_reader, value_reader = self.reader(shape.key), self.reader(shape.value)

        def read(node: Node) -> dict[str, Any]:
            key = next((child for child in node.children if child.tag == key_tag), None)
            value = next((child for child in node.children if child.tag == value_tag), None)
            if key is None or value is None:
                raise malformed(f"An entry of {node.tag} lacks its {key_tag} or {value_tag}.")
            return {key_reader(key): value_reader(value)}

        return read

    def _map(self, shape: Shape) -> Read:
        entry = self._entry(shape)

        def read(node: Node) -> dict[str, Any]:
            found: dict[str, Any] = {}
            for child in node.children:
                if child.tag == "entry":
                    found.update(entry(child))
            return found

        return read


def _fields_reader(fields: Mapping[str, tuple[str, Read, str]], attributes: Mapping[str, str]) -> Read:
    def read(node: Node) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for child in node.children:
            field = fields.get(child.tag)
            if field is None:
                continue
            name, convert, how = field
            if how == "one":
                found[name] = convert(child)
            elif how == "list":
                found.setdefault(name, []).append(convert(child))
            else:
                found.setdefault(name, {}).update(convert(child))
        for key, value in node.attributes.items():
            if key in attributes:
                found[attributes[key]] = value
        return found

    return read


def _scalar(use: Member) -> Read:
    convert = text_reader(use.shape.type)
    if convert is None:
        return lambda node: node.text

    def read(node: Node) -> Any:
        try:
            return convert(node.text)
        except ValueError as error:
            raise malformed(f"{node.tag}: {error}") from None

    return read
