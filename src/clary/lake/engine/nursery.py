"""The process that workers are forked from: it has imported what they need and opened a database, which each of them
has for its first task. It reads nothing of any user.

Started as `python -m clary.lake.engine.nursery FD`. An order is a folder and the socket of the worker that is to have
it; the answer is the worker's process id. It ends when the socket of orders is closed.
"""

import array
import contextlib
import gc
import logging
import os
import signal
import socket
import sys
from typing import Any

import orjson

from clary.lake.engine import worker
from clary.lake.engine.execution import database
from clary.lake.engine.trino.setup import learn

_LARGEST_ORDER = 65536


def main() -> None:
    orders = socket.socket(fileno=int(sys.argv[1]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    children: set[int] = set()
    _import()
    opened = database()
    gc.collect()
    gc.freeze()
    _answer(orders, {})  # whoever started this may go on
    while True:
        order, connection = _next(orders)
        _bury(children)
        if "kill" in order:
            _kill(children, int(order["kill"]))
            continue
        if connection is None:
            os._exit(0)
        child = os.fork()
        if child == 0:
            orders.close()
            try:
                worker.serve(connection, str(order["folder"]), opened)
            except BaseException:
                logging.getLogger("clary.lake").exception("an engine failed")
            finally:
                os._exit(1)
        connection.close()
        children.add(child)
        _answer(orders, {"pid": child})


def _import() -> None:
    """Import what tasks need, so that no worker has to."""
    import importlib

    for name in ("pyarrow.dataset", "pyarrow.parquet", "pyarrow.orc", "fastavro"):
        importlib.import_module(name)
    for name in ("formats.writing", "iceberg.writing"):
        importlib.import_module(f"clary.lake.{name}")
    learn()


def _answer(orders: socket.socket, said: dict[str, int]) -> None:
    with contextlib.suppress(BrokenPipeError):  # nobody hears it any more: the next order is the end
        orders.send(orjson.dumps(said))


def _kill(children: set[int], child: int) -> None:
    """Kill a worker; one that has ended is not among them any more."""
    if child in children:
        os.kill(child, signal.SIGKILL)


def _bury(children: set[int]) -> None:
    while children:
        child, _ = os.waitpid(-1, os.WNOHANG)
        if child == 0:
            return
        children.discard(child)


def _next(orders: socket.socket) -> tuple[dict[str, Any], socket.socket | None]:
    data, ancillary, _, _ = orders.recvmsg(_LARGEST_ORDER, socket.CMSG_SPACE(array.array("i").itemsize))
    if not data:
        return {}, None
    descriptors = array.array("i")
    for _, _, content in ancillary:
        descriptors.frombytes(content[: len(content) - len(content) % descriptors.itemsize])
    return orjson.loads(data), socket.socket(fileno=descriptors[0]) if descriptors else None


if __name__ == "__main__":
    main()
