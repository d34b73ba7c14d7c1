"""The same with BentoML."""

import bentoml
from scoring import scorer


@bentoml.service(workers="cpu_count", logging={"access": {"enabled": False}})
class Models:
    def __init__(self) -> None:
        self.score = scorer()

    @bentoml.api(route="/echo")
    async def echo(self, body: str, /) -> str:
        return body

    @bentoml.api(route="/invocations")
    async def invocations(self, row: str, /) -> str:
        return self.score(row)
