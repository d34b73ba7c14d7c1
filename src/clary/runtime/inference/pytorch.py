"""What SageMaker's PyTorch images do for the functions that a script leaves out."""

from pathlib import Path
from typing import Any

import torch

from clary.runtime.errors import CustomerError
from clary.runtime.formats import content_types
from clary.runtime.inference import codecs
from clary.runtime.inference.defaults import Defaults

MODEL_FILE = "model.pt"
SUFFIXES = (".pt", ".pth")


class PytorchDefaults(Defaults):
    """TorchScript models; text becomes tensors of float32, npy keeps its type."""

    def __init__(self) -> None:
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.load = self._load

    def _load(self, directory: Path) -> Any:
        """`model.pt`, or the only .pt or .pth file, which must be TorchScript: weights alone are no model."""
        path = directory / MODEL_FILE
        if not path.is_file():
            found = sorted(file for file in directory.iterdir() if file.suffix in SUFFIXES)
            if len(found) != 1:
                held = ", ".join(file.name for file in found) or "none"
                raise CustomerError(
                    f"exactly one .pt or .pth file is needed in {directory} when the script defines no model_fn; "
                    f"it holds {held}"
                )
            path = found[0]
        try:
            script: Any = torch.jit
            model = script.load(str(path), map_location=self._device)
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[0]
            raise CustomerError(
                f"{path.name} is not TorchScript, as torch.jit.save writes it ({reason}); "
                "to load weights into a class of yours, define model_fn(model_dir)"
            ) from None
        return model.to(self._device)

    def input(self, body: bytes, content_type: str) -> Any:
        data = codecs.decode(body, content_type)
        try:
            if content_types.canonical(content_type) == content_types.NPY:
                tensor = torch.from_numpy(data)
            else:
                tensor = torch.as_tensor(data.toarray() if hasattr(data, "toarray") else data, dtype=torch.float32)
        except (TypeError, ValueError) as error:
            raise CustomerError(f"the request body is not numbers that a tensor can hold: {error}") from None
        return tensor.to(self._device)

    def predict(self, data: Any, model: Any) -> Any:
        """The model's answer, without gradients and with dropout and its like switched off."""
        if not callable(model):
            raise CustomerError(f"the script defines no predict_fn, and a {type(model).__name__} cannot be called")
        with torch.no_grad():
            if isinstance(model, torch.nn.Module):
                model.to(self._device)
                model.eval()
            return model(data.to(self._device) if isinstance(data, torch.Tensor) else data)

    def output(self, prediction: Any) -> Any:
        return _plain(prediction)


def _plain(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.detach().cpu().numpy()
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple) and not (len(value) == 2 and isinstance(value[1], str)):
        return [_plain(item) for item in value]
    return value
