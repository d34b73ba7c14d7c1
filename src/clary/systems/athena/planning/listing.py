"""The objects of tables: those below a location that are no folders, not empty, and not hidden."""

from collections.abc import Iterator, Sequence

from clary.systems.athena.contract import ListedObject, Running, StatementFailed

_MANY = 64


def below(location: str) -> str:
    """What the URIs of all objects of a location begin with. Raises StatementFailed where it is none of S3's."""
    scheme, _, rest = location.partition("://")
    if scheme not in ("s3", "s3a", "s3n") or not rest.strip("/"):
        raise StatementFailed("HIVE_METASTORE_ERROR", f"Table location {location!r} is not of S3")
    prefix = f"s3://{rest}"
    return prefix if prefix.endswith("/") else prefix + "/"


def data_objects(running: Running, location: str) -> Iterator[ListedObject]:
    """The files below a location, in order."""
    prefix = below(location)
    for found in running.objects(prefix):
        if is_data(found, len(prefix)):
            yield found


def objects_of(running: Running, locations: Sequence[str], root: str) -> list[list[ListedObject]]:
    """The files of each location, in one listing of `root` where that is shorter: when it holds most of them.

    A file that lies below two locations, one of which is below the other, belongs to both, as in Athena.
    """
    prefixes = [below(location) for location in locations]
    found: list[list[ListedObject]] = [[] for _ in locations]
    whole = below(root) if root else ""
    at_once = [place for place, prefix in enumerate(prefixes) if whole and prefix.startswith(whole)]
    if len(at_once) < _MANY:
        at_once = []
    for place in sorted(set(range(len(locations))) - set(at_once)):
        running.check()
        found[place] = list(data_objects(running, locations[place]))
    if at_once:
        _assign(running, whole, prefixes, at_once, found)
    return found


def _assign(
    running: Running, whole: str, prefixes: Sequence[str], places: Sequence[int], found: list[list[ListedObject]]
) -> None:
    by_prefix: dict[str, list[int]] = {}
    for place in places:
        by_prefix.setdefault(prefixes[place], []).append(place)
    for each in running.objects(whole):
        end = len(whole)
        while end > 0:
            for place in by_prefix.get(each.uri[:end], ()):
                if is_data(each, end):
                    found[place].append(each)
            end = each.uri.find("/", end) + 1


def is_data(found: ListedObject, skip: int) -> bool:
    """Whether an object is a file of a table; `skip` is the length of the part of its URI that is the location."""
    if not found.size_bytes or found.uri.endswith("/"):
        return False
    return not any(part.startswith(("_", ".")) for part in found.uri[skip:].split("/"))
