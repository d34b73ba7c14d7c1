"""Choose which requests of a gateway are captured, and hand them to the writer once they are answered."""

import random
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import cached_property
from typing import NamedTuple

from clary.kernel.core.ids import new_uuid
from clary.kernel.rooms import Platform
from clary.kernel.serving.capture import Captured
from clary.kernel.serving.capture_writer import CaptureWriter
from clary.kernel.serving.connections import Answer
from clary.kernel.serving.requests import Heading
from clary.kernel.serving.routes import Capture, Target
from clary.systems.endpoints.servers import log_group

LARGEST_STREAM_BYTES = 25 * 1024 * 1024

_STREAM = "data-log"


class Sampled(NamedTuple):
    """A request that is to be captured with each answer that it gets, all under one id."""

    event_id: str
    rules: Capture
    address: tuple[str, str, str]
    heading: Heading
    body: bytes


class Captures:
    """The data capture of one gateway. For its event loop; nothing here waits."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    @cached_property
    def _writer(self) -> CaptureWriter:
        platform = self._platform
        writer = CaptureWriter(platform.objects, platform.settings.home, platform.clock, self._complain)
        platform.at_close(writer.close)
        return writer

    def sample(
        self, rules: Capture | None, address: tuple[str, str, str], heading: Heading, body: bytes
    ) -> Sampled | None:
        """The request, if it is one that is to be captured."""
        if rules is None or random.random() * 100 >= rules.percentage:
            return None
        return Sampled(new_uuid(), rules, address, heading, body)

    def keep(self, sampled: Sampled, target: Target, answer: Answer, data: bytes | None = None) -> None:
        """Capture a request that `target` has answered, unless it was refused.

        `data` is the answer's body when that was passed on as it came.
        """
        if not 200 <= answer.status < 300:
            return
        (account, region, endpoint), rules = sampled.address, sampled.rules
        self._writer.keep(
            Captured(
                account=account,
                region=region,
                endpoint=endpoint,
                variant=target.name,
                role=target.role,
                rules=rules,
                event_id=sampled.event_id,
                at=self._platform.clock.now(),
                heading=sampled.heading,
                body=sampled.body if rules.inputs else b"",
                answer_type=answer.header(b"content-type"),
                answer=(answer.body if data is None else data) if rules.outputs else b"",
            )
        )

    async def keep_streamed(
        self, sampled: Sampled, target: Target, answer: Answer, chunks: AsyncGenerator[bytes, None]
    ) -> AsyncGenerator[bytes, None]:
        """Pass on an answer, and capture it once it has ended well, if it is not larger than can be captured."""
        taken: list[bytes] = []
        size = 0
        async with aclosing(chunks):
            async for chunk in chunks:
                size += len(chunk)
                if size > LARGEST_STREAM_BYTES:
                    taken.clear()
                else:
                    taken.append(chunk)
                yield chunk
        if size <= LARGEST_STREAM_BYTES:
            self.keep(sampled, target, answer, b"".join(taken))

    def _complain(self, captured: Captured, text: str) -> None:
        """Tell the endpoint's owner, in its log."""
        now = int(self._platform.clock.now() * 1000)
        stream = f"{captured.variant}/{_STREAM}"
        self._platform.logs.append(
            captured.account, captured.region, log_group(captured.endpoint), stream, [(now, text)]
        )
