"""PyTorch models behind the server, with the functions that SageMaker's images supply."""

import io
import json

import numpy as np
import pytest

from clary.runtime.tests.conftest import Job
from clary.runtime.tests.servers import serving

torch = pytest.importorskip("torch")

pytestmark = [
    pytest.mark.slow,
    # TorchScript is what SageMaker's images load, and old.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]

FRAMEWORK = {"CLARY_FRAMEWORK": "pytorch"}


def network() -> "torch.nn.Module":
    torch.manual_seed(0)
    # Dropout shows whether the model is asked in evaluation mode.
    return torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Dropout(0.5), torch.nn.Linear(4, 2))


def put_script_model(job: Job, name: str) -> "torch.nn.Module":
    made = network()
    job.paths.model.mkdir(exist_ok=True)
    torch.jit.script(made).save(str(job.paths.model / name))
    return made.eval()


@pytest.mark.parametrize("name", ["model.pt", "net.pth"])
def test_a_script_module_needs_no_code(job: Job, name: str) -> None:
    made = put_script_model(job, name)
    data = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    expected = made(torch.from_numpy(data)).detach().numpy()
    packed = io.BytesIO()
    np.save(packed, data)
    lines = "".join(",".join(f"{value:.9g}" for value in row) + "\n" for row in data)
    with serving(job, **FRAMEWORK) as server:
        for body, content_type in [
            (json.dumps(data.tolist()), "application/json"),
            (lines, "text/csv"),
            (packed.getvalue(), "application/x-npy"),
        ]:
            status, _, answer = server.invoke(body, content_type, "application/json")
            assert (status, json.loads(answer)) == (200, expected.tolist())
        answer = server.invoke(lines, "text/csv", "application/x-npy")[2]
        np.testing.assert_array_equal(np.load(io.BytesIO(answer)), expected)
        answer = server.invoke(lines, "text/csv", "text/csv")[2]
        np.testing.assert_array_equal(np.loadtxt(io.BytesIO(answer), delimiter=",", dtype=np.float32), expected)
        assert server.invoke('["a"]', "application/json")[0] == 400
        assert server.invoke("x", "image/png")[0] == 415


def test_a_script_loads_weights_and_leaves_the_rest_to_the_framework(job: Job) -> None:
    made = network()
    job.paths.model.mkdir()
    torch.save(made.state_dict(), job.paths.model / "weights.pth")
    job.put(
        "model/code/inference.py",
        "import os, torch\n"
        "from torch.nn import Dropout, Linear, ReLU, Sequential\n"
        "def model_fn(model_dir):\n"
        "    made = Sequential(Linear(3, 4), ReLU(), Dropout(0.5), Linear(4, 2))\n"
        "    made.load_state_dict(torch.load(os.path.join(model_dir, 'weights.pth')))\n"
        "    return made\n",
    )
    expected = made.eval()(torch.tensor([[1.0, 2.0, 3.0]])).tolist()
    # Also where requests are joined, and where it is one model of many.
    with serving(job, CLARY_MAX_BATCH_SIZE="4", **FRAMEWORK) as server:
        assert json.loads(server.invoke("1,2,3", "text/csv")[2]) == expected
    with serving(job, SAGEMAKER_MULTI_MODEL="true", **FRAMEWORK) as server:
        asked = json.dumps({"model_name": "net", "url": str(job.paths.model)})
        assert server.ask("POST", "/models", asked)[0] == 200
        answer = server.ask("POST", "/models/net/invoke", "1,2,3", content_type="text/csv")
        assert json.loads(answer[2]) == expected


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "exactly one .pt or .pth file is needed"),
        ({"a.pt": b"", "b.pth": b""}, "it holds a.pt, b.pth"),
        ({"model.pt": b"weights"}, "model.pt is not TorchScript"),
    ],
)
def test_a_model_that_cannot_be_loaded_says_why(job: Job, files: dict[str, bytes], message: str) -> None:
    job.paths.model.mkdir()
    for name, content in files.items():
        job.put(f"model/{name}", content)
    done = job.run("serve", SAGEMAKER_BIND_TO_PORT="0", **FRAMEWORK)
    assert done.returncode == 1
    assert message in done.stderr.splitlines()[-1]
