"""Find the user's source directory: placed by the platform, or fetched from the submit directory."""

from pathlib import Path
from urllib.parse import urlsplit

from clary.runtime.errors import CustomerError
from clary.runtime.paths import MlPaths
from clary.runtime.toolkit.archives import extract

ARCHIVE = "sourcedir.tar.gz"


def training_source(paths: MlPaths, program: str, submit_directory: str | None) -> Path:
    """The directory that holds `program` for a training job."""
    for place in (paths.code, paths.code_channel):
        if (place / ARCHIVE).is_file() and not (place / program).exists():
            extract(place / ARCHIVE, paths.code)
            return _holding(program, paths.code, place / ARCHIVE)
        if (place / program).exists():
            return place
    if not submit_directory:
        raise CustomerError(
            f"sagemaker_program is {program!r}, but {paths.code} holds no such file "
            "and there is no sagemaker_submit_directory"
        )
    return fetch_source(program, submit_directory, paths.code)


def fetch_source(program: str, location: str, target: Path) -> Path:
    """The directory that holds `program`, from a URI, an archive (unpacked into `target`) or a directory."""
    parts = urlsplit(location)
    if parts.scheme == "s3":
        target.mkdir(parents=True, exist_ok=True)
        archive = target / ARCHIVE
        _download(parts.netloc, parts.path.lstrip("/"), archive)
        extract(archive, target)
        archive.unlink()
        return _holding(program, target, location)
    local = Path(parts.path if parts.scheme == "file" else location)
    if local.is_dir():
        if (local / ARCHIVE).is_file() and not (local / program).exists():
            return fetch_source(program, str(local / ARCHIVE), target)
        return _holding(program, local, location)
    if not local.is_file():
        raise CustomerError(f"sagemaker_submit_directory {location!r} is neither an s3:// URI nor a path that exists")
    extract(local, target)
    return _holding(program, target, location)


def _holding(program: str, directory: Path, origin: object) -> Path:
    """`directory`, once sure that it holds the program: a file, or a module or package of that name."""
    module = Path(*program.split("."))
    if any((directory / name).exists() for name in (program, module, module.with_suffix(".py"))):
        return directory
    held = ", ".join(sorted(entry.name for entry in directory.iterdir())[:20]) or "nothing"
    raise CustomerError(f"the program {program!r} is not in the source from {origin}; that holds: {held}")


def _download(bucket: str, key: str, target: Path) -> None:
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        client = boto3.client("s3", config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 5}))
        with target.open("wb") as file:
            client.download_fileobj(bucket, key, file)
    except (BotoCoreError, ClientError) as error:
        raise CustomerError(f"cannot fetch the source s3://{bucket}/{key}: {error}") from error
