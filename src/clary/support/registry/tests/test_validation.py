"""Validation profiles as real transform jobs, driven by the reconcilers of both rooms, and through crashes."""

import io
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from clary.executors.process import ProcessExecutor
from clary.kernel.core.errors import AwsError
from clary.kernel.core.settings import Settings
from clary.kernel.rooms import Platform
from clary.kernel.rooms.tests.crossings import Fuse, burning, fuses, survive
from clary.support.registry.reconcile.validation import reconcile
from clary.support.registry.tests.conftest import ACCOUNT, BUCKET, REGION, ROLE, Packages

IMAGE = "python:3.12"
SCRIPT = """
def model_fn(folder):
    return 2

def transform_fn(model, body, content_type, accept):
    return "".join(f"{model * float(line)}\\n" for line in body.splitlines()), "text/csv"
"""
# The rooms know each other by their operations alone; the controller drives both.
transform = import_module("clary.systems.batch_transform.reconcile").reconcile


class Validated(Packages):
    """Packages over a kernel with an executor, in which the reconcilers are run by hand."""

    def __init__(self, home: Path) -> None:
        super().__init__(Platform(Settings.load({}, home=str(home), slots_cpus=4)))
        self.platform.executor = self.executor = ProcessExecutor(home)
        self.platform.objects.buckets.create(BUCKET, ACCOUNT, REGION)
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as archive:
            entry = tarfile.TarInfo("code/inference.py")
            entry.size = len(SCRIPT)
            archive.addfile(entry, io.BytesIO(SCRIPT.encode()))
        self.platform.objects.put_bytes(BUCKET, "model.tar.gz", packed.getvalue())
        self.platform.objects.put_bytes(BUCKET, "good/rows.csv", b"1\n2\n")
        self.platform.objects.put_bytes(BUCKET, "bad/rows.csv", b"one\n")
        self.group("validated")

    def asked(self, data: str, image: str = IMAGE, **members: Any) -> str:
        """A version that is validated by what lies below `data`."""
        container = {
            "Image": image,
            "ModelDataUrl": f"s3://{BUCKET}/model.tar.gz",
            "Environment": {"SAGEMAKER_PROGRAM": "inference.py"},
        }
        source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/{data}/"}}
        definition = {
            "TransformInput": {"DataSource": source, "ContentType": "text/csv", "SplitType": "Line"},
            "TransformOutput": {"S3OutputPath": f"s3://{BUCKET}/out", "AssembleWith": "Line"},
            "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
        }
        profile = {"ProfileName": "rows", "TransformJobDefinition": definition}
        specification = {"ValidationRole": ROLE, "ValidationProfiles": [profile]}
        return self.version(
            "validated", {"Containers": [container]}, ValidationSpecification=specification, **members
        ).partition("/")[2]

    def drive(self, name: str, fuse: Fuse | None = None) -> dict[str, Any]:
        """Reconcile until nothing is in progress, crashing where the fuse says; the package's description then."""
        keys = (f"{ACCOUNT}/{REGION}/{name}", None)
        pause = threading.Event()
        for _ in range(2400):
            with burning(self.platform, fuse or Fuse(None)):
                survive(partial(reconcile, self.platform), keys)
            transform(self.platform, None)
            described = self.describe(name)
            if described["ModelPackageStatus"] not in {"Pending", "InProgress"}:
                return described
            pause.wait(0.05)
        raise AssertionError(f"not reached: {described}")

    def jobs(self) -> list[str]:
        return [one["TransformJobName"] for one in self.call("ListTransformJobs")["TransformJobSummaries"]]

    def close(self) -> None:
        self.executor.end_all(forget=True)
        self.executor.close()
        self.platform.close()


@pytest.fixture(scope="module")
def validated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Validated]:
    made = Validated(tmp_path_factory.mktemp("registry"))
    yield made
    made.close()


def statuses(described: dict[str, Any]) -> list[tuple[str, str]]:
    return [(one["Name"], one["Status"]) for one in described["ModelPackageStatusDetails"]["ValidationStatuses"]]


def test_a_package_is_complete_once_its_validation_succeeds(validated: Validated) -> None:
    name = validated.asked("good", ModelApprovalStatus="Approved")
    described = validated.describe(name)
    assert (described["ModelPackageStatus"], statuses(described)) == ("Pending", [("rows", "NotStarted")])
    with pytest.raises(AwsError, match="its ModelPackageStatus is Pending"):
        validated.call("CreateModel", ModelName="early", PrimaryContainer={"ModelPackageName": name})
    described = validated.drive(name)
    assert (described["ModelPackageStatus"], statuses(described)) == ("Completed", [("rows", "Completed")])
    assert validated.platform.objects.get_bytes(BUCKET, "out/rows.csv.out") == b"2.0\n4.0\n"
    assert validated.call("ListModels")["Models"] == []
    validated.call("CreateModel", ModelName="ready", PrimaryContainer={"ModelPackageName": name})
    validated.call("DeleteModel", ModelName="ready")


def test_a_package_whose_validation_fails_has_failed(validated: Validated) -> None:
    described = validated.drive(validated.asked("bad"))
    [status] = described["ModelPackageStatusDetails"]["ValidationStatuses"]
    assert (described["ModelPackageStatus"], status["Status"]) == ("Failed", "Failed")
    assert "rows.csv" in status["FailureReason"]
    skipped = validated.describe(validated.asked("bad", SkipModelValidation="All"))
    assert (skipped["ModelPackageStatus"], statuses(skipped)) == ("Completed", [])


def test_a_package_may_be_deleted_while_it_is_validated(validated: Validated) -> None:
    name = validated.asked("good")
    reconcile(validated.platform, None)
    [job] = [one for one in validated.call("ListTransformJobs", StatusEquals="InProgress")["TransformJobSummaries"]]
    validated.call("DeleteModelPackage", ModelPackageName=name)
    assert validated.describe(name)["ModelPackageStatus"] == "Deleting"
    reconcile(validated.platform, f"{ACCOUNT}/{REGION}/{name}")
    with pytest.raises(AwsError, match="does not exist"):
        validated.describe(name)
    described = validated.call("DescribeTransformJob", TransformJobName=job["TransformJobName"])
    assert described["TransformJobStatus"] == "Stopping"
    assert validated.call("ListModels")["Models"] == []


def test_a_crash_at_any_crossing_validates_once(validated: Validated) -> None:
    """Every write of the reconciler is crashed before and after, one at a time. Nothing stands for the image, so that
    the transform job fails without a process."""
    for fuse in fuses(6):
        before = set(validated.jobs())
        name = validated.asked("good", image="unknown:1")
        described = validated.drive(name, fuse)
        reconcile(validated.platform, None)
        assert (described["ModelPackageStatus"], statuses(described)) == ("Failed", [("rows", "Failed")]), fuse.burns_at
        assert len(set(validated.jobs()) - before) == 1, fuse.burns_at
        assert validated.call("ListModels")["Models"] == [], fuse.burns_at
