"""What leaves a host: archives, trees, checkpoints; whole, and nothing that was not the job's to give."""

import io
import tarfile

from clary.kernel.jobs.contract import Failure, Outcome, Output

MODEL = Output("model", "s3://work/results/model.tar.gz", on_failure=False)


def members(world, key):
    with tarfile.open(fileobj=io.BytesIO(world.get(key))) as tar:
        return {info.name: tar.extractfile(info).read() if info.isfile() else None for info in tar}


def test_model_archive(world):
    seen = world.run(
        "os.makedirs(f'{ML}/model/a/b')\n"
        "open(f'{ML}/model/a/b/w', 'w').write('1')\n"
        "os.symlink('a/b/w', f'{ML}/model/inside')\n"
        "os.symlink('/etc/passwd', f'{ML}/model/outside')",
        outputs=(Output("model", "s3://work/archives/m.tar.gz"),),
    )
    assert seen.outputs == ("s3://work/archives/m.tar.gz",)
    assert members(world, "archives/m.tar.gz") == {"a": None, "a/b": None, "a/b/w": b"1", "inside": None}


def test_empty_folders_give_nothing_unless_wanted(world):
    seen = world.run(
        "pass",
        outputs=(
            Output("model", "s3://work/empty/model.tar.gz"),
            Output("output/data", "s3://work/empty/output.tar.gz", even_empty=True),
            Output("tree", "s3://work/empty/tree", archive=False),
        ),
    )
    assert seen.outputs == ("s3://work/empty/output.tar.gz",)


def test_failure_uploads_only_what_may_then(world):
    seen = world.run(
        "open(f'{ML}/model/w', 'w').write('1')\nopen(f'{ML}/output/data/log', 'w').write('2')\nsys.exit(1)",
        outputs=(MODEL, Output("output/data", "s3://work/failed/output.tar.gz")),
    )
    assert seen.outcome is Outcome.FAILED
    assert seen.outputs == ("s3://work/failed/output.tar.gz",)


def test_stopped_uploads(world):
    spec = world.start(
        "open(f'{ML}/model/w', 'w').write('1')\nprint('ready')\nsignal.pause()",
        outputs=(Output("model", "s3://work/stopped/model.tar.gz", on_failure=False),),
    )
    world.said(spec, "ready")
    world.executor.stop(spec.job, spec.host)
    assert world.ended(spec).outputs == ("s3://work/stopped/model.tar.gz",)


def test_tree(world):
    world.run(
        "os.makedirs(f'{ML}/processing/output/x')\nopen(f'{ML}/processing/output/x/a.csv', 'w').write('1')\n"
        "open(f'{ML}/processing/output/b.csv', 'w').write('2')\nos.mkfifo(f'{ML}/processing/output/fifo')\n"
        "os.symlink('/etc', f'{ML}/processing/output/etc')",
        outputs=(Output("processing/output", "s3://work/trees/t", archive=False),),
    )
    assert world.keys("trees/t") == ["trees/t/b.csv", "trees/t/x/a.csv"]


def test_folder_that_is_a_link_is_not_followed(world, tmp_path):
    (tmp_path / "secret").write_text("x")
    seen = world.run(
        f"os.rmdir(f'{{ML}}/model')\nos.symlink({str(tmp_path)!r}, f'{{ML}}/model')",
        outputs=(Output("model", "s3://work/links/m", archive=False),),
    )
    assert seen.outputs == ()


def test_failure_file_that_is_a_link_is_not_followed(world, tmp_path):
    (tmp_path / "secret").write_text("x")
    seen = world.run(f"os.symlink({str(tmp_path / 'secret')!r}, f'{{ML}}/output/failure')\nsys.exit(1)")
    assert "x" not in seen.reason.split()


def test_output_that_cannot_be_stored_fails_the_host(world):
    seen = world.run(
        "open(f'{ML}/model/w', 'w').write('1')", outputs=(Output("model", "s3://no-such-bucket/m.tar.gz"),)
    )
    assert (seen.outcome, seen.failure, seen.outputs) == (Outcome.FAILED, Failure.CLIENT, ())
    assert "NoSuchBucket" in seen.reason


def test_checkpoints_appear_while_it_runs_and_are_resumed(world):
    output = Output("checkpoints", "s3://work/checkpoints/c", archive=False, continuous=True)
    first = world.start("open(f'{ML}/checkpoints/1', 'w').write('one')\nsignal.pause()", outputs=(output,))
    world.until(lambda: world.keys("checkpoints/c") == ["checkpoints/c/1"])
    world.executor.end_all()
    assert world.observe(first).outcome is Outcome.LOST
    second = world.start(
        "print(json.dumps(open(f'{ML}/checkpoints/1').read()))\nopen(f'{ML}/checkpoints/2', 'w').write('two')",
        outputs=(output,),
    )
    assert world.report(second) == "one"
    assert world.keys("checkpoints/c") == ["checkpoints/c/1", "checkpoints/c/2"]


def test_live_outputs_are_stored_one_by_one_and_outlive_the_host(world):
    world.put("live/out/of-others", "untouched")
    output = Output("output/done", "s3://work/live/out", archive=False, live=True)
    spec = world.start(
        "open(f'{ML}/draft', 'w').write('one')\n"
        "os.makedirs(f'{ML}/output/done/a')\n"
        "os.rename(f'{ML}/draft', f'{ML}/output/done/a/1')\n"
        "print(os.listdir(f'{ML}/output/done'))\n"
        "signal.pause()",
        outputs=(output,),
    )
    world.until(lambda: world.observe(spec).outputs == ("s3://work/live/out/a/1",))
    assert world.get("live/out/a/1") == b"one"
    world.executor.end_all()
    seen = world.observe(spec)
    assert (seen.outcome, seen.outputs) == (Outcome.LOST, ("s3://work/live/out/a/1",))
    assert world.lines(spec) == ["['a']"], "what others stored there does not come down"


def test_live_outputs_of_the_last_moment_are_stored_at_the_end(world):
    output = Output("output/done", "s3://work/late/out", archive=False, live=True)
    seen = world.run("open(f'{ML}/output/done/1', 'w').write('one')\nsys.exit(3)", outputs=(output,))
    assert (seen.outcome, seen.outputs) == (Outcome.FAILED, ("s3://work/late/out/1",))


def test_a_checkpoint_that_was_being_written_is_stored_at_the_end(world):
    output = Output("checkpoints", "s3://work/growing/c", archive=False, continuous=True)
    spec = world.start(
        "file = open(f'{ML}/checkpoints/growing', 'wb', buffering=0)\n"
        "open(f'{ML}/checkpoints/done', 'w').write('done')\n"
        "while not os.path.exists(f'{ML}/checkpoints/enough'):\n"
        "    file.write(b'x' * 100)\n"
        "    time.sleep(0.01)\n",
        outputs=(output,),
    )
    world.until(lambda: "growing/c/done" in world.keys("growing/c"))
    world.executor.stop(spec.job, spec.host)
    world.ended(spec)
    assert world.keys("growing/c") == ["growing/c/done", "growing/c/growing"]


def test_folder_is_emptied_at_the_end(world):
    spec = world.start("os.makedirs(f'{ML}/model/x')\nos.chmod(f'{ML}/model/x', 0)\nos.chmod(f'{ML}/model', 0)")
    world.ended(spec)
    box = world.home / "jobs" / spec.job / spec.host / "box"
    world.until(lambda: not list(box.iterdir()))
