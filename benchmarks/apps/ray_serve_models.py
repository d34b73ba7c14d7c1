"""The same with Ray Serve: PORT REPLICAS FOLDER."""

import signal
import sys

import ray
from ray import serve
from scoring import scorer
from starlette.requests import Request
from starlette.responses import Response


@serve.deployment(max_ongoing_requests=100, ray_actor_options={"num_cpus": 1})
class Models:
    def __init__(self) -> None:
        self.score = scorer()

    async def __call__(self, request: Request) -> Response:
        body = await request.body()
        if request.url.path == "/echo":
            return Response(body, media_type="application/json")
        return Response(self.score(body), media_type="text/csv")


def _init(cpus, folder):
    """Ray gives its parts half a minute to start, which a busy machine does not keep at first."""
    for left in reversed(range(5)):
        try:
            return ray.init(num_cpus=cpus, include_dashboard=False, log_to_driver=False, _temp_dir=folder)
        except Exception:
            ray.shutdown()
            if not left:
                raise


if __name__ == "__main__":
    port, replicas, folder = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    _init(replicas, folder)
    serve.start(http_options={"host": "127.0.0.1", "port": port})
    serve.run(Models.options(num_replicas=replicas).bind(), logging_config={"enable_access_log": False})
    signal.pause()
