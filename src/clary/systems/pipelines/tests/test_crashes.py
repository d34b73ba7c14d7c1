"""What a controller that dies, anywhere, leaves behind: something that the next one completes, once."""

from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from clary.kernel.rooms.tests.crossings import Crash, Fuse, burning
from clary.systems.pipelines.tests.conftest import World, condition, fail, get, model, token, train
from clary.systems.pipelines.tests.test_steps import messages, process, queue

EVERY = 20


def ten_steps(url: str) -> list[dict[str, Any]]:
    """Jobs side by side and in line, a property file, a condition, a callback, a package, a model, a trigger."""
    files = [{"PropertyFileName": "Report", "OutputName": "evaluation", "FilePath": "report.json"}]
    score = {"Std:JsonGet": {"PropertyFile": get("Steps.Evaluate.PropertyFiles.Report"), "Path": "auc"}}
    made = model("Made", "Ask")
    made["Arguments"]["PrimaryContainer"]["ModelDataUrl"] = get("Steps.Left.ModelArtifacts.S3ModelArtifacts")
    package = {
        "Name": "Registered",
        "Type": "RegisterModel",
        "Arguments": {
            "ModelPackageGroupName": "crashes",
            "ModelPackageDescription": get("Execution.CurrentDateTime"),
            "InferenceSpecification": {
                "Containers": [{"Image": "python:3.12"}],
                "SupportedContentTypes": ["text/csv"],
                "SupportedResponseMIMETypes": ["text/csv"],
            },
        },
    }
    return [
        process("Prepare", "data"),
        train("Left", "Prepare"),
        train("Right", "Prepare"),
        process("Evaluate", "evaluation", PropertyFiles=files, DependsOn=["Left", "Right"]),
        condition("Gate", score, 0.5, then=[package], otherwise=[fail("Bad")]),
        {"Name": "Ask", "Type": "Callback", "Arguments": {}, "SqsQueueUrl": url, "DependsOn": ["Gate"]},
        made,
        train("Flaky", "Made"),
        model("Last", DependsOn=[{"Step": "Flaky", "Trigger": "Failed"}]),
    ]


def run_to_the_end(world: World, arn: str, url: str) -> set[str]:
    """Drive an execution as controllers do of which each dies where the fuse says; return the tokens it asked with."""
    tokens: set[str] = set()
    for _ in range(200):
        try:
            world.settle()
        except Crash:
            world.restart()
            continue
        if world.status(arn) != "Executing":
            return tokens
        for message in messages(world, url):
            if message["token"] not in tokens:
                tokens.add(message["token"])
                world.call(
                    "SendPipelineExecutionStepSuccess", CallbackToken=message["token"], ClientRequestToken=token("t")
                )
    raise AssertionError(f"it did not end: {world.statuses(arn)}")


def burning_in_pipelines(world: World, fuse: Fuse, topic: str) -> AbstractContextManager[None]:
    """The fuse burns where this room's reconcilers act, in other rooms too that they call."""
    return burning(world.platform, fuse) if topic.startswith("pipelines") else nullcontext()


class Recurring(Fuse):
    """Burns at every twentieth crossing, beginning with one of the first twenty; None never burns."""

    def __init__(self, first: int | None) -> None:
        super().__init__(None)
        self._first = first
        self.crashes = 0

    def _cross(self) -> None:
        self.crossings += 1
        if self.crossings % EVERY == self._first:
            self.crashes += 1
            raise Crash


@pytest.mark.slow
def test_a_crash_at_any_crossing_changes_nothing_about_the_end(tmp_path: Path) -> None:
    """Every write that driving an execution makes, in whichever room, is crashed before and after, a few at a time."""
    world = World(tmp_path)
    world.executor.fails = lambda spec: "broken" if "-Flaky-" in spec.job else ""
    world.put("Evaluate/evaluation/report.json", {"auc": 0.9})
    url = queue(world, "crashes")
    world.create("crashes", *ten_steps(url))
    expected: dict[str, str] = {}
    crashes = 0
    for number, first in enumerate([None, *range(EVERY)]):
        arn = world.start("crashes", number)
        before = len(world.executor.started)
        fuse = Recurring(first)
        world.around = partial(burning_in_pipelines, world, fuse)
        tokens = run_to_the_end(world, arn, url)
        crashes += fuse.crashes
        statuses = dict(sorted(world.statuses(arn).items()))
        expected = expected or statuses
        assert statuses == expected, first
        assert world.status(arn) == "CompletedWithFailures", first
        ran = [name.split("-")[3] for name in world.executor.started[before:]]
        assert sorted(ran) == ["Evaluate", "Flaky", "Left", "Prepare", "Right"], (first, ran)
        assert len(tokens) == 1, "it was asked once"
        assert {step["AttemptCount"] for step in world.steps(arn).values()} == {1}
        packages = world.call("ListModelPackages", ModelPackageGroupName="crashes", MaxResults=100)
        assert len(packages["ModelPackageSummaryList"]) == number + 1, "one for each execution"
    assert crashes > 2 * EVERY, "the crossings were not counted"
    world.platform.close()
