"""The parts of an image's name: registry, repository, tag and digest."""

import re
from dataclasses import dataclass

_ECR_HOST = re.compile(r"(\d{12})\.dkr\.ecr(?:-fips)?\.([a-z0-9-]+)\.(?:amazonaws\.com(?:\.cn)?|[a-z0-9.-]+)")
_REGISTRY = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::\d{1,5})?|\[[0-9a-fA-F:]+\](?::\d{1,5})?")
_REPOSITORY = re.compile(r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_DIGEST = re.compile(r"[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[0-9a-fA-F]{32,}")


@dataclass(frozen=True, slots=True)
class ImageReference:
    """`<registry>/<repository>[:tag][@digest]`. What is missing is empty; account and region are those of ECR hosts."""

    repository: str
    tag: str = ""
    digest: str = ""
    registry: str = ""
    account: str = ""
    region: str = ""

    @property
    def name(self) -> str:
        """The last part of the repository: `pytorch-training` of `team/pytorch-training`."""
        return self.repository.rpartition("/")[2]


def parse_image(text: str) -> ImageReference:
    """Take an image's name apart. Raises ValueError that says which part is malformed."""
    rest, _, digest = text.strip().partition("@")
    if digest and not _DIGEST.fullmatch(digest):
        raise ValueError(f"image {text!r} has a malformed digest {digest!r}: expected algorithm:hex")
    registry = ""
    first, slash, remainder = rest.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        registry, rest = first, remainder
    if registry and not _REGISTRY.fullmatch(registry):
        raise ValueError(f"image {text!r} has a malformed registry {registry!r}")
    repository, _, tag = rest.partition(":")
    if tag and not _TAG.fullmatch(tag):
        raise ValueError(f"image {text!r} has a malformed tag {tag!r}")
    if not _REPOSITORY.fullmatch(repository):
        raise ValueError(f"image {text!r} has a malformed repository {repository!r}: use lower-case letters and digits")
    ecr = _ECR_HOST.fullmatch(registry)
    account, region = (ecr.group(1), ecr.group(2)) if ecr else ("", "")
    return ImageReference(repository, tag, digest, registry, account, region)
