"""The same with LitServe: PORT WORKERS. It takes JSON, so a row comes as JSON."""

import sys

import litserve
from scoring import scorer


class Echo(litserve.LitAPI):
    def setup(self, device):
        pass

    def predict(self, x):
        return x


class Trees(litserve.LitAPI):
    def setup(self, device):
        self.score = scorer()

    def decode_request(self, request):
        return ",".join(map(str, request["instances"][0]))

    def predict(self, x):
        return float(self.score(x))


if __name__ == "__main__":
    port, workers = map(int, sys.argv[1:])
    server = litserve.LitServer(
        [Echo(api_path="/echo"), Trees(api_path="/invocations")],
        accelerator="cpu",
        workers_per_device=workers,
        fast_queue=True,
    )
    server.run(host="127.0.0.1", port=port, log_level="error", generate_client_file=False)
