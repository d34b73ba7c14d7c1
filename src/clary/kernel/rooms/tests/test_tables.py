"""Records in tables, over a real store."""

from dataclasses import dataclass

import pytest

from clary.kernel.rooms import Platform
from clary.kernel.store import Conflict, record, records


@record("test_page", version=1)
@dataclass(frozen=True, slots=True)
class Page:
    """A record of these tests."""

    number: int


def test_a_scan_goes_on_in_order_and_reads_only_what_is_wanted(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "_SCANNED_AT_ONCE", 3)
    here, elsewhere = (platform.records(Page).within("1", region) for region in ("here", "there"))
    for number in range(10):
        here.create(f"a{number}", Page(number), parent="book" if number != 4 else "other")
    elsewhere.create("a0", Page(99))
    assert [entry.value.number for entry in here.scan()] == list(range(10))
    assert [entry.value.number for entry in here.scan(after="a3", parent="book")] == [5, 6, 7, 8, 9]
    odd = here.scan(wanted=lambda name: int(name[1:]) % 2 == 1, name_prefix="a")
    assert next(odd).value == Page(1)
    here.delete("a3")
    assert [entry.value.number for entry in odd] == [5, 7, 9]
    with pytest.raises(TypeError):
        next(platform.records(Page).scan())


def test_a_record_is_replaced_together_with_other_changes_or_not_at_all(platform: Platform) -> None:
    table = platform.records(Page).within("1", "here")
    first = table.create("now", Page(1))
    table.replace(first, Page(2), also=[table.insertion("before", Page(1))])
    with pytest.raises(Conflict):
        table.replace(first, Page(3), also=[table.insertion("lost", Page(2))])
    assert {entry.name: entry.value.number for entry in table.all()} == {"now": 2, "before": 1}
