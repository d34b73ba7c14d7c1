"""A model card as a PDF document, with its content as JSON inside it.

What is imported for it is heavy, and not everywhere installed: it is the extra `reports`.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

TOPIC = "model_card_export"
IN_PROGRESS = "InProgress"
COMPLETED = "Completed"
FAILED = "Failed"

# A font that has more than Latin letters, where the machine has it.
_FONT = Path("/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf")
_MILLIMETRES = 6.0


NEEDED = "The export of a model card needs fpdf2, which is not installed: pip install 'clary[reports]'."


class CannotExport(Exception):
    """No document can be made here, and why."""


def document(name: str, version: int, status: str, content: str, made_at: float) -> bytes:
    """The PDF of a card's version; the same for the same arguments. Raises CannotExport."""
    try:
        from fpdf import FPDF
        from fpdf.errors import FPDFException
    except ImportError:
        raise CannotExport(NEEDED) from None
    pdf = FPDF()
    pdf.set_title(f"Model card {name}, version {version}")
    pdf.set_creator("Clary")
    pdf.set_creation_date(datetime.fromtimestamp(made_at, UTC))
    if _FONT.exists():
        pdf.add_font("Card", fname=_FONT)
        pdf.set_font("Card", size=10)
    else:
        pdf.set_font("Helvetica", size=10)
    try:
        _write(pdf, name, version, status, content)
        return bytes(pdf.output())
    except FPDFException as error:
        raise CannotExport(f"The card cannot be laid out: {error}") from None


def _write(pdf: Any, name: str, version: int, status: str, content: str) -> None:
    pdf.add_page()
    _line(pdf, f"Model card {name}", size=20)
    _line(pdf, f"Version {version}, {status}", size=11)
    for section, value in orjson.loads(content).items():
        if value:
            pdf.ln(_MILLIMETRES / 2)
            _line(pdf, _title(section), size=14)
            _member(pdf, value, 0)
    pdf.embed_file(bytes=content.encode(), basename="model-card.json", desc="The card's content", compress=True)


def _member(pdf: Any, value: Any, depth: int) -> None:
    """Write a value: members and items of it below each other, further in for each level."""
    if isinstance(value, Mapping):
        for name, member in value.items():
            if isinstance(member, Mapping | list) and not _is_row(member):
                _line(pdf, f"{_title(name)}:", depth)
                _member(pdf, member, depth + 1)
            elif member is not None:
                _line(pdf, f"{_title(name)}: {_text(member)}", depth)
    elif isinstance(value, list):
        for number, item in enumerate(value, start=1):
            if isinstance(item, Mapping):
                _item(pdf, item, number, depth)
            else:
                _line(pdf, f"- {_text(item)}", depth)
    else:
        _line(pdf, _text(value), depth)


def _item(pdf: Any, item: Mapping[str, Any], number: int, depth: int) -> None:
    """One of several: under its name, where it has one, with its value beside that."""
    rest = {name: member for name, member in item.items() if name != "name" and member is not None}
    heading = f"{number}. {item.get('name') or ''}"
    value = rest.get("value")
    if value is not None and (not isinstance(value, list) or _is_row(value)):
        heading = f"{heading}: {_text(rest.pop('value'))}"
    _line(pdf, heading, depth)
    _member(pdf, rest, depth + 1)


def _is_row(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, int | float) for item in value)


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(_text(item) for item in value)
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _title(name: str) -> str:
    return name.replace("_", " ").capitalize()


def _line(pdf: Any, text: str, depth: int = 0, *, size: float = 10) -> None:
    if not _FONT.exists():
        text = text.encode("latin-1", "replace").decode("latin-1")
    pdf.set_font_size(size)
    pdf.set_x(pdf.l_margin + depth * _MILLIMETRES)
    pdf.multi_cell(0, size * 0.5, text, new_x="LMARGIN", new_y="NEXT")
