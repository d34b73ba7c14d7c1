"""What this room stores: groups of model packages, the packages, and the tokens by which they were asked for."""

from dataclasses import dataclass, field
from typing import Any

from clary.kernel.store import record


@record("model_package_group", version=1)
@dataclass(frozen=True, slots=True)
class ModelPackageGroup:
    """`latest` is the last version number that was given in the group; none is given twice. `created_by` is a
    UserContext. `policy` is the group's resource policy as it was put, empty for none."""

    description: str | None
    created_by: dict[str, Any]
    latest: int = 0
    policy: str = ""


@record("model_package", version=1)
@dataclass(frozen=True, slots=True)
class ModelPackage:
    """A model package, versioned (`<group>/<version>` is the record's name, the group its parent) or not.

    `definition` holds CreateModelPackage's members as they are described: completed at creation, changed by updates;
    without names, tags and token. `status` is a ModelPackageStatus. `created_by` and `modified_by` are UserContexts,
    the latter None until the first update. `token` is the ClientToken it was made by; `updates` are the tokens of the
    last updates, each with the fingerprint of what was asked. `validations` are the package's ValidationStatuses; `uid`
    is in the names of what validates it, and `role` the ARN of the role that does, empty where nothing is validated.
    """

    definition: dict[str, Any]
    status: str
    created_by: dict[str, Any]
    group: str = ""
    number: int = 0
    token: str = ""
    modified_by: dict[str, Any] | None = None
    updates: list[list[str]] = field(default_factory=list)
    uid: str = ""
    role: str = ""
    validations: list[dict[str, Any]] = field(default_factory=list)


@record("model_package_token", version=1)
@dataclass(frozen=True, slots=True)
class Token:
    """A ClientToken, which is the record's name: the package that was made by it, and what had been asked for."""

    package: str
    fingerprint: str


@record("model_card", version=1)
@dataclass(frozen=True, slots=True)
class ModelCard:
    """A model card in its latest version; earlier ones are `PastVersion`s. Times are epoch seconds.

    Another content makes another version, another status does not. `created_by` and `modified_by` are UserContexts,
    `versioned_at` says when this version was made.
    """

    number: int
    content: str
    status: str
    created_by: dict[str, Any]
    versioned_at: float
    modified_by: dict[str, Any] | None = None
    security: dict[str, Any] | None = None


@record("model_card_version", version=1)
@dataclass(frozen=True, slots=True)
class PastVersion:
    """A version of a card that is not its latest any more, `<card>/<version>`, the card its parent."""

    number: int
    content: str
    status: str
    versioned_at: float
    modified_at: float
    modified_by: dict[str, Any] | None


@record("model_card_export_job", version=1)
@dataclass(frozen=True, slots=True)
class ExportJob:
    """The export of a card, `<card>/<job>`, the card its parent, with all that is exported."""

    number: int
    content: str
    card_status: str
    output: str
    status: str
    artifact: str = ""
    failure_reason: str = ""
