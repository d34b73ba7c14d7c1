"""Tell a room's observer what changed, in the controller."""

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from clary.kernel.store import Change, Entry

if TYPE_CHECKING:
    from clary.kernel.rooms.platform import Platform

Observe = Callable[["Platform", list[Change]], None]

_AT_ONCE = 200
_AGAIN_SECONDS = 2.0

_log = logging.getLogger("clary.observing")


def told(topic: str, observe: Observe) -> Callable[["Platform", str | None], float | None]:
    """The reconciler that tells `observe` the changes kept for `topic`, oldest first, and forgets them.

    A change that it cannot take is logged, kept, and told again; so are later ones of the same record. Others go on.
    """

    def reconcile(platform: "Platform", _: str | None) -> float | None:
        held: set[tuple[str, str, str, str]] = set()
        token = None
        while True:
            page = platform.records(Change).page(_AT_ONCE, token, parent=topic)
            _tell(platform, observe, [note for note in page if _record(note) not in held], held)
            token = page.next_token
            if token is None:
                return _AGAIN_SECONDS if held else None

    return reconcile


def _tell(
    platform: "Platform", observe: Observe, notes: Sequence[Entry[Change]], held: set[tuple[str, str, str, str]]
) -> None:
    """Tell all at once, or, where that fails, one after the other."""
    if not notes:
        return
    try:
        observe(platform, [note.value for note in notes])
    except Exception:  # noqa: BLE001 - whatever one change brings about, the others are to be told
        if len(notes) > 1:
            for note in notes:
                if _record(note) not in held:
                    _tell(platform, observe, [note], held)
            return
        _log.exception("%s %s cannot be observed; trying again", notes[0].value.kind, notes[0].value.name)
        held.add(_record(notes[0]))
        return
    table = platform.records(Change)
    platform.store.apply([table.within(note.account, note.region).deletion(note.name) for note in notes])


def _record(note: Entry[Change]) -> tuple[str, str, str, str]:
    change = note.value
    return change.kind, change.account, change.region, change.name
