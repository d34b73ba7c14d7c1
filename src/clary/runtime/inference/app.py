"""The paths that a model answers on: SageMaker's container contract for one model."""

import json
import sys
import traceback
from typing import Any

from clary.runtime.errors import CustomerError
from clary.runtime.inference.batching import Batches
from clary.runtime.inference.calls import Calls
from clary.runtime.inference.contract import TEXT, Joining, Model, Refused, Reply, Request
from clary.runtime.inference.http import Exchange, Head
from clary.runtime.inference.settings import MIB, Settings

# As SageMaker's own servers say: scripts are written for payloads of this size.
DEFAULT_PAYLOAD = 6 * MIB


class App:
    """Serves `model` once it is set; until then /ping and /invocations answer 503.

    /ping also answers 503 while the model hangs: while every thread is in a call that is over its time.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._accept = settings.default_accept.encode()
        self._model: Model | None = None
        self._batches: Batches | None = None
        self.calls: Calls | None = None

    def serve(self, model: Model) -> None:
        """Answer with `model` from now on. Raises CustomerError when it cannot do what the settings ask for."""
        seconds = self._settings.timeout_seconds
        self.calls = Calls(model, model.threads, seconds, lambda error: refusal(error, seconds))
        if self._settings.batch_size > 1:
            if not isinstance(model, Joining):
                raise CustomerError(
                    "CLARY_MAX_BATCH_SIZE is set, but this model's requests cannot be joined: transform_fn takes each "
                    "whole; write predict_fn (with input_fn and output_fn) instead, or unset the variable"
                )
            self._batches = Batches(self.calls, self._settings.batch_size, self._settings.batch_delay_seconds)
        self._model = model

    def __call__(self, exchange: Exchange) -> None:
        head = exchange.head
        if head.path == "/invocations":
            if head.method != "POST":
                exchange.answer(Reply(b"use POST", TEXT, 405))
            else:
                self._invocations(exchange)
        elif head.path == "/ping" and head.method in ("GET", "HEAD"):
            exchange.answer(self._ping())
        elif head.path == "/execution-parameters" and head.method == "GET":
            exchange.answer(self._execution_parameters())
        else:
            exchange.answer(nothing_at(head))

    def _invocations(self, exchange: Exchange) -> None:
        head, model = exchange.head, self._model
        if model is None or self.calls is None:
            exchange.answer(Reply(b"the model is loading", TEXT, 503))
            return
        accept = head.accept
        if not accept or accept == b"*/*":
            accept = self._accept
        reply = model.quick(exchange.body, head.content_type, accept)
        if reply is not None:
            exchange.answer(reply)
            return
        try:
            call = self.calls.call(exchange, request_of(exchange, accept))
        except Refused as refused:
            exchange.answer(Reply(str(refused).encode(), TEXT, refused.status))
            return
        if self._batches is not None:
            self._batches.add(call)
        else:
            self.calls.submit([call])

    def _ping(self) -> Reply:
        if self.calls is None or self._model is None:
            return Reply(b"the model is loading", TEXT, 503)
        if self.calls.hangs:
            text = f"the model hangs: a request is unanswered after {self._settings.timeout_seconds:g} s"
            return Reply(text.encode(), TEXT, 503)
        return Reply(b"", TEXT)

    def _execution_parameters(self) -> Reply:
        threads = self._model.threads if self._model is not None else 1
        return Reply(json.dumps(execution_parameters(self._settings, threads)).encode(), "application/json")


def request_of(exchange: Exchange, accept: bytes) -> Request:
    head = exchange.head
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in head.headers}
    return Request(exchange.body, head.content_type.decode("latin-1"), accept.decode("latin-1"), headers)


def nothing_at(head: Head) -> Reply:
    return Reply(f"there is no {head.method} {head.path}".encode("latin-1", "replace"), TEXT, 404)


def execution_parameters(settings: Settings, threads: int) -> dict[str, Any]:
    """How batch transform had best ask a model that runs `threads` calls at once, where the job leaves that open."""
    return {
        "MaxConcurrentTransforms": threads * settings.workers,
        "BatchStrategy": "MULTI_RECORD",
        "MaxPayloadInMB": max(1, min(settings.max_body, DEFAULT_PAYLOAD) // MIB),
    }


def refusal(error: Exception, timeout_seconds: float) -> Reply:
    """The answer to a request that failed: the caller gets the message, the log the traceback of what is our fault."""
    if isinstance(error, Refused):
        return Reply(str(error).encode(), TEXT, error.status)
    if isinstance(error, CustomerError):
        return Reply(str(error).encode(), TEXT, 400)
    if isinstance(error, TimeoutError):
        return Reply(f"the model did not answer within {timeout_seconds:g} s".encode(), TEXT, 504)
    traceback.print_exception(error)
    sys.stderr.flush()
    message = "".join(traceback.format_exception_only(error)).strip()
    return Reply(message.encode(errors="replace"), TEXT, 500)
