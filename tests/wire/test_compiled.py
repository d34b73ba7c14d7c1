"""The table of compiled things: whole when seen, made once."""

import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from clary.kernel.wire import check, service
from clary.kernel.wire.compiled import Compiled
from clary.kernel.wire.constraints import _checks, _structures


def test_many_threads_get_one_value_and_only_when_it_is_whole() -> None:
    made: list[str] = []
    started, release = threading.Event(), threading.Event()

    def make(key: str) -> list[int]:
        made.append(key)
        value: list[int] = []
        started.set()
        assert release.wait(60)
        value.append(1)
        return value

    table: Compiled[str, list[int]] = Compiled(make)
    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(lambda: list(table["a"])) for _ in range(4)]
        assert started.wait(60)
        assert "a" not in table
        release.set()
        assert [future.result(60) for future in waiting] == [[1]] * 4
    assert made == ["a"]


def test_what_fails_to_compile_is_tried_again() -> None:
    answers = iter([ValueError("no"), 7])

    def make(_key: str) -> int:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    table: Compiled[str, int] = Compiled(make)
    with pytest.raises(ValueError, match="no"):
        table["a"]
    assert table["a"] == 7


def test_threads_that_meet_a_recursive_shape_first_agree() -> None:
    operation = service("emr").operations["RunJobFlow"]
    params = {"Name": "n", "Instances": {}, "Configurations": [{"Configurations": [{"Classification": "c"}]}]}
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for _ in range(20):
            _checks.pop(operation, None)
            _structures.clear()
            with ThreadPoolExecutor(6) as pool:
                for future in [pool.submit(check, operation, params) for _ in range(6)]:
                    future.result(120)
    finally:
        sys.setswitchinterval(interval)
