"""What a host prints and measures arrives whole, whatever it is."""

import pytest

from clary.kernel.jobs.console import LineCutter
from clary.kernel.jobs.contract import MetricDefinition, Outcome
from clary.kernel.jobs.metric_matcher import MetricMatcher


def test_lines_of_both_streams(world):
    spec = world.start("print('one')\nprint('two', file=sys.stderr)\nprint()\nprint('drei äöü')")
    world.ended(spec)
    assert sorted(world.lines(spec)) == ["drei äöü", "one", "two"]


def test_lines_arrive_while_it_runs(world):
    spec = world.start("print('now', flush=True)\nsignal.pause()")
    world.said(spec, "now")
    world.executor.forget(spec.job, spec.host)


def test_huge_lines_binary_and_carriage_returns(world):
    spec = world.start(
        "out = sys.stdout.buffer\n"
        "out.write(b'a' * 600_000 + b'\\n')\n"
        "out.write(bytes(range(256)) * 4 + b'\\n')\n"
        "out.write(b'10%\\r20%\\r\\nno end')"
    )
    world.ended(spec)
    lines = world.lines(spec)
    whole = "".join(line for line in lines if line.startswith("aaa"))
    assert whole == "a" * 600_000
    assert max(len(line) for line in lines) <= 256 * 1024
    assert lines[-3:] == ["10%", "20%", "no end"]


@pytest.mark.slow
def test_a_hundred_megabytes(world):
    spec = world.start("line = 'x' * 99 + '\\n'\nfor _ in range(1000): sys.stdout.write(line * 1000)")
    assert world.ended(spec).outcome is Outcome.COMPLETED
    assert len(world.lines(spec)) == 1_000_000


def test_metrics(world):
    tabbed = MetricDefinition("validation:rmse", r"\[[0-9]+\].*#011validation-rmse:([-+]?[0-9]*\.?[0-9]+)")
    spec = world.start(
        "print('[0]\\ttrain-rmse:1.5\\tvalidation-rmse:2.5')\nprint('[1]\\ttrain-rmse:1.25\\tvalidation-rmse:2.25')",
        metrics=(tabbed, MetricDefinition("train:rmse", r"train-rmse:(\S+)"), MetricDefinition("none", "nothing (.*)")),
        metric_namespace="/test",
        metric_dimensions={"Job": "m"},
    )
    final = {metric.name: metric.value for metric in world.ended(spec).metrics}
    assert final == {"validation:rmse": 2.25, "train:rmse": 1.25}
    found = {series.name for _, series in world.metrics.series("111122223333", "eu-west-1", namespace="/test")}
    assert found == {"validation:rmse", "train:rmse"}


def test_catastrophic_and_invalid_expressions_are_given_up(world):
    spec = world.start(
        "print('a' * 40 + '!')\nprint('loss=1')",
        metrics=(
            MetricDefinition("evil", "(a+)+$"),
            MetricDefinition("broken", "(unclosed"),
            MetricDefinition("loss", "loss=(.*)"),
        ),
    )
    seen = world.ended(spec)
    lines = world.lines(spec)
    assert any('"evil" is given up' in line for line in lines)
    assert any('"broken" is left out' in line for line in lines)
    assert seen.outcome is Outcome.COMPLETED


def test_matcher_keeps_the_last_value_and_ignores_what_is_no_number():
    complaints = []
    matcher = MetricMatcher([MetricDefinition("a", "a=(.*)"), MetricDefinition("b", "b")], complaints.append)
    assert matcher.match(["a=1", "a=x", "b", "a=2"], 5.0) == [("a", 1.0, 5.0), ("a", 2.0, 5.0)]
    assert [(final.name, final.value) for final in matcher.final] == [("a", 2.0)]
    assert complaints == []


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_lines_do_not_depend_on_how_they_are_read(size):
    text = "äöü\r\nzwei\rdrei\n\nfünf €\n".encode() * 3
    cutter = LineCutter()
    lines = [line for start in range(0, len(text), size) for line in cutter.feed(text[start : start + size])]
    assert lines + cutter.end() == ["äöü", "zwei", "drei", "fünf €"] * 3
