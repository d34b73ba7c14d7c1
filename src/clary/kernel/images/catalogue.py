"""Families of images, and the one place that resolves an image's name to what runs here."""

import importlib.util
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from clary.kernel.images.reference import ImageReference, parse_image


class ImageUnavailable(Exception):
    """Nothing here can stand for the image; the message says what would."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric that the image's algorithm prints: the first group of `regex` is its value."""

    name: str
    regex: str


@dataclass(frozen=True, slots=True)
class Runtime:
    """What runs in place of a container of an image.

    `train` and `serve` are the commands for `docker run IMAGE train` and `serve`, `process` is the entrypoint of a
    processing job that names none; empty where the image has none. `programs` are those on its path that no other image
    has, each with the command that does its work here; `run` comes before any other command that a training job gives
    in place of the image's, and lends it what the image holds. `preload` names modules worth having imported before
    the process is asked for.
    """

    family: str
    train: tuple[str, ...] = ()
    serve: tuple[str, ...] = ()
    process: tuple[str, ...] = ()
    programs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    run: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    preload: tuple[str, ...] = ()
    metrics: tuple[Metric, ...] = ()

    @property
    def warm(self) -> str:
        """The preloaded interpreter to ask an executor for."""
        return f"python:{','.join(self.preload)}"


@dataclass(frozen=True, slots=True)
class Family:
    """Images that one runtime stands for.

    `repositories` are shell patterns: one with a slash is matched against the whole repository, another against its
    last part. `modules` must be importable; `extra` is the extra of Clary that brings them.
    """

    runtime: Runtime
    repositories: tuple[str, ...]
    modules: tuple[str, ...] = ()
    extra: str = ""

    def covers(self, image: ImageReference) -> bool:
        return any(
            fnmatchcase(image.repository if "/" in pattern else image.name, pattern) for pattern in self.repositories
        )


def _importable(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


class Catalogue:
    """Every family that the installed rooms know; the first that covers an image decides."""

    def __init__(self, families: Iterable[Family], importable: Callable[[str], bool] = _importable) -> None:
        self.families = tuple(families)
        self._importable = importable
        self._satisfied: set[str] = set()

    def resolve(self, uri: str) -> Runtime:
        """The runtime that stands for the image. Raises ImageUnavailable.

        Account, region and tag do not matter: a version is what is installed here.
        """
        try:
            image = parse_image(uri)
        except ValueError as error:
            raise ImageUnavailable(str(error)) from None
        for family in self.families:
            if family.covers(image):
                self._require(family, uri)
                return family.runtime
        known = ", ".join(sorted({pattern for family in self.families for pattern in family.repositories}))
        raise ImageUnavailable(
            f"Cannot find repository: {image.repository} (image {uri}). Clary has local runtimes for {known}; "
            "an image of any other kind needs an executor that runs containers."
        )

    def _require(self, family: Family, uri: str) -> None:
        if family.runtime.family in self._satisfied:
            return
        missing = [module for module in family.modules if not self._importable(module)]
        if missing:
            raise ImageUnavailable(
                f"The runtime for image {uri} needs the Python modules {', '.join(missing)}, which are not installed: "
                f"pip install 'clary[{family.extra}]', then create the job again."
            )
        self._satisfied.add(family.runtime.family)
