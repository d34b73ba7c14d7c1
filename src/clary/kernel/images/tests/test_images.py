"""Image names, and the runtimes that stand for them."""

import pytest

from clary.kernel.images import Catalogue, Family, ImageReference, ImageUnavailable, Runtime, parse_image

CHINA = "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn"
ECR = "683313688378.dkr.ecr.us-east-1.amazonaws.com"
DIGEST = "sha256:" + "0a" * 32


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            f"{ECR}/sagemaker-xgboost:1.7-1",
            ImageReference("sagemaker-xgboost", "1.7-1", "", ECR, "683313688378", "us-east-1"),
        ),
        (f"{CHINA}/a/b", ImageReference("a/b", "", "", CHINA, "123456789012", "cn-north-1")),
        (f"python:3.12@{DIGEST}", ImageReference("python", "3.12", DIGEST)),
        ("public.ecr.aws/sagemaker/sagemaker-distribution:3-cpu",
         ImageReference("sagemaker/sagemaker-distribution", "3-cpu", "", "public.ecr.aws")),
        ("localhost:5000/mine", ImageReference("mine", "", "", "localhost:5000")),
    ],
)  # fmt: skip
def test_names_are_taken_apart(text: str, expected: ImageReference) -> None:
    assert parse_image(text) == expected


@pytest.mark.parametrize("text", ["", "Upper", "a:b:c", "a@sha256:xyz", "a//b", "../etc", "a:" + "t" * 200])
def test_malformed_names_say_what_is_wrong(text: str) -> None:
    with pytest.raises(ValueError, match="malformed"):
        parse_image(text)


FAMILIES = (
    Family(Runtime("trees", train=("t",), preload=("trees",)), ("sagemaker-trees",), modules=("trees",), extra="ml"),
    Family(Runtime("python"), ("python", "team/exact", "base-*")),
)


def test_the_repository_alone_decides() -> None:
    catalogue = Catalogue(FAMILIES, importable=lambda _: True)
    for uri in (f"{ECR}/sagemaker-trees:9", "sagemaker-trees", f"sagemaker-trees@{DIGEST}"):
        assert catalogue.resolve(uri).family == "trees"
    for uri in ("python:3", "base-python-310:1", "public.ecr.aws/docker/library/python:3", "team/exact"):
        assert catalogue.resolve(uri).family == "python"
    assert catalogue.resolve("sagemaker-trees").warm == "python:trees"
    assert catalogue.resolve("python").warm == "python:"


def test_what_is_missing_is_named() -> None:
    catalogue = Catalogue(FAMILIES, importable=lambda _: False)
    with pytest.raises(ImageUnavailable, match=r"trees, which are not installed: pip install 'clary\[ml\]'"):
        catalogue.resolve("sagemaker-trees:1")
    with pytest.raises(ImageUnavailable, match=r"Cannot find repository: exact .*sagemaker-trees"):
        catalogue.resolve("exact:1")
    with pytest.raises(ImageUnavailable, match="malformed"):
        catalogue.resolve("Not An Image")
