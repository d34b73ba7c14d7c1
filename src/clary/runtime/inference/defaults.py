"""What each framework's image does for the functions that a script leaves out."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from clary.runtime.errors import CustomerError
from clary.runtime.formats import content_types
from clary.runtime.inference import codecs


class Defaults:
    """What a framework does for functions that a script leaves out. `load` is None where only the user knows how."""

    default_content_type = content_types.JSON
    default_accept = content_types.JSON
    load: Callable[[Path], Any] | None = None

    def input(self, body: bytes, content_type: str) -> Any:
        return codecs.decode(body, content_type)

    def predict(self, data: Any, model: Any) -> Any:
        if hasattr(model, "predict"):
            return model.predict(data)
        if callable(model):
            return model(data)
        raise CustomerError(f"the script defines no predict_fn, and a {type(model).__name__} has no predict method")

    def output(self, prediction: Any) -> Any:
        """The prediction as something that can be encoded by Accept."""
        return prediction


class SklearnDefaults(Defaults):
    default_content_type = content_types.NPY

    def input(self, body: bytes, content_type: str) -> Any:
        """A 2-D array; a single row may come without its outer brackets."""
        data = codecs.decode(body, content_type)
        return data.reshape(1, -1) if getattr(data, "ndim", 2) == 1 else data


class XgboostDefaults(Defaults):
    default_content_type = content_types.LIBSVM
    default_accept = content_types.CSV

    def __init__(self) -> None:
        from clary.runtime.algorithms.xgboost.serving import load_booster

        self.load = load_booster

    def input(self, body: bytes, content_type: str) -> Any:
        import xgboost

        data = super().input(body, content_type)
        return xgboost.DMatrix(data.reshape(1, -1) if getattr(data, "ndim", 2) == 1 else data)

    def predict(self, data: Any, model: Any) -> Any:
        """A Booster takes the DMatrix, and so does the one inside a scikit-learn style model."""
        import xgboost

        if isinstance(model, xgboost.Booster):
            return model.predict(data, validate_features=False)
        if hasattr(model, "get_booster"):
            return model.get_booster().predict(data, validate_features=False)
        return super().predict(data, model)


def _pytorch() -> Defaults:
    from clary.runtime.inference.pytorch import PytorchDefaults

    return PytorchDefaults()


FRAMEWORKS: dict[str, Callable[[], Defaults]] = {
    "python": Defaults,
    "sklearn": SklearnDefaults,
    "xgboost": XgboostDefaults,
    "pytorch": _pytorch,
}


def defaults_of(framework: str) -> Defaults:
    """Raises CustomerError for a framework that does not exist."""
    if framework not in FRAMEWORKS:
        raise CustomerError(f"CLARY_FRAMEWORK is {framework!r}; valid are {', '.join(FRAMEWORKS)}")
    return FRAMEWORKS[framework]()
