"""How long a gateway waits for a client, and how much it keeps for one: looked at once a second, for all connections.

One timer for all, since one for each request would cost more than most of what a request costs.
"""

import asyncio
import logging
import resource
import weakref
from typing import TYPE_CHECKING

from uvicorn.server import ServerState

if TYPE_CHECKING:
    from clary.server.protocol import Connection

_log = logging.getLogger("clary.server")

STALL_SECONDS = 60.0
MOST_UNSENT_BYTES = 1 << 30
_LOOK_SECONDS = 1.0
_OTHER_FILES = 256  # what a gateway needs files for besides connections of clients


class Patience:
    """Ends with clients that keep us waiting.

    - A connection past its `deadline` (no request, or none whole) is closed.
    - One that has taken nothing of what it is sent for STALL_SECONDS is aborted.
    - More than `most_connections` at once, which leave too few files for the rest, are not taken.
    - When clients together leave more than MOST_UNSENT_BYTES untaken, those that took nothing for longest are aborted.
    """

    def __init__(self, state: ServerState, loop: asyncio.AbstractEventLoop) -> None:
        self.now = loop.time()  # at most a second old while there are connections
        self.most_connections = max(16, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - _OTHER_FILES)
        self._state = weakref.ref(state)
        self._loop = loop
        self._looks = False

    def begin(self) -> None:
        """There is a connection to look at."""
        if not self._looks:
            self._looks = True
            self.now = self._loop.time()
            self._loop.call_later(_LOOK_SECONDS, self._look)

    def _look(self) -> None:
        self.now = now = self._loop.time()
        state = self._state()
        if state is None or not state.connections:
            self._looks = False
            return
        self._loop.call_later(_LOOK_SECONDS, self._look)
        behind: list[tuple[float, int, Connection]] = []
        connection: Connection
        for connection in list(state.connections):  # type: ignore[assignment]  # uvicorn's type knows only its own
            unsent = connection.transport.get_write_buffer_size()
            if not unsent:
                if connection.deadline is not None and now > connection.deadline:
                    connection.transport.close()
                continue
            stalled_seconds = connection.stalled(unsent, now)
            if stalled_seconds > STALL_SECONDS:
                connection.transport.abort()
            else:
                behind.append((stalled_seconds, unsent, connection))
        self._keep_within(behind)

    def _keep_within(self, behind: "list[tuple[float, int, Connection]]") -> None:
        total = sum(unsent for _, unsent, _ in behind)
        if total <= MOST_UNSENT_BYTES:
            return
        _log.warning("clients have not taken %d MiB that they are sent; ending with the slowest", total >> 20)
        for _, unsent, connection in sorted(behind, key=lambda each: each[0], reverse=True):
            connection.transport.abort()
            total -= unsent
            if total <= MOST_UNSENT_BYTES:
                return


_of: "weakref.WeakKeyDictionary[ServerState, Patience]" = weakref.WeakKeyDictionary()


def patience_of(state: ServerState, loop: asyncio.AbstractEventLoop) -> Patience:
    """The one that looks at the connections of `state`."""
    found = _of.get(state)
    if found is None:
        found = _of[state] = Patience(state, loop)
    found.begin()
    return found
