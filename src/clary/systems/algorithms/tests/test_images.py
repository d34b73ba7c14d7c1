"""The families: each image that an SDK names resolves, and XGBoost's metrics are found in what it prints."""

import re

import pytest

from clary.kernel.images import Catalogue
from clary.systems.algorithms.images import FAMILIES

ECR = "683313688378.dkr.ecr.us-east-1.amazonaws.com"
CATALOGUE = Catalogue(FAMILIES, importable=lambda _: True)


@pytest.mark.parametrize(
    ("image", "family"),
    [
        (f"{ECR}/sagemaker-xgboost:1.7-1", "xgboost"),
        ("811284229777.dkr.ecr.us-east-1.amazonaws.com/xgboost:1", "xgboost"),
        (f"{ECR}/sagemaker-scikit-learn:1.4-2-cpu-py3", "scikit-learn"),
        ("763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-training:2.5-cpu-py311", "pytorch"),
        ("763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-inference:2.5-cpu-py311", "pytorch"),
        (f"{ECR}/sagemaker-base-python-310:1.0", "python"),
        ("public.ecr.aws/sagemaker/sagemaker-distribution:3-cpu", "python"),
        ("python:3.12-slim", "python"),
    ],
)
def test_images_of_the_sdks_resolve(image: str, family: str) -> None:
    assert CATALOGUE.resolve(image).family == family


def test_xgboosts_metrics_are_found_as_cloudwatch_shows_its_lines() -> None:
    line = "[12]\ttrain-rmse:0.51234\tvalidation-rmse:1.2e-05".replace("\t", "#011")
    found = {
        metric.name: float(match.group(1))
        for metric in CATALOGUE.resolve("sagemaker-xgboost").metrics
        if (match := re.search(metric.regex, line))
    }
    assert found == {"train:rmse": 0.51234, "validation:rmse": 1.2e-05}


def test_names_that_begin_alike_are_kept_apart() -> None:
    line = "[0]#011validation-mlogloss:0.1#011validation-aucpr:0.2#011validation-merror:nan"
    found = {one.name for one in CATALOGUE.resolve("xgboost").metrics if re.search(one.regex, line)}
    assert found == {"validation:mlogloss", "validation:aucpr", "validation:merror"}
