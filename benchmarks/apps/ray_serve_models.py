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


if __name__ == "__main__":
    port, replicas, folder = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    ray.init(num_cpus=replicas, include_dashboard=False, log_to_driver=False, _temp_dir=folder)
    serve.start(http_options={"host": "127.0.0.1", "port": port})
    serve.run(Models.options(num_replicas=replicas).bind(), logging_config={"enable_access_log": False})
    signal.pause()
