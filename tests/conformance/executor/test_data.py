"""What a host reads: channels of every kind, and models."""

import gzip
import io
import json
import struct
import tarfile

import pytest

from clary.kernel.jobs.contract import Channel, DataType, Failure, InputMode, ModelSource, Outcome

SHOW = (
    "found = {}\n"
    "root = f'{ML}/input/data/train'\n"
    "for folder, _, files in os.walk(root):\n"
    "    for name in files:\n"
    "        path = os.path.join(folder, name)\n"
    "        found[os.path.relpath(path, root)] = open(path).read()\n"
    "print(json.dumps(found))"
)
READ_PIPES = "print(json.dumps([open(f'{ML}/input/data/train_{epoch}').read() for epoch in range(EPOCHS)]))"


def show(world, **channel):
    return world.report(world.start(SHOW, channels=(Channel("train", **channel),)))


def test_prefix_as_folder_and_as_beginning_of_names(world):
    uri = world.put("prefix/train/a.csv", "1")
    world.put("prefix/train/sub/b.csv", "2")
    world.put("prefix/train2.csv", "3")
    world.put("prefix/train/", "")
    base = uri.rpartition("/")[0]
    assert show(world, uri=f"{base}/") == {"a.csv": "1", "sub/b.csv": "2"}
    assert show(world, uri=base) == {"a.csv": "1", "sub/b.csv": "2", "train2.csv": "3"}
    assert show(world, uri=f"{base}/a.csv") == {"a.csv": "1"}


def test_a_host_may_ask_for_the_list_of_its_objects(world):
    for key in ("a/b", "c", "d"):
        world.put(f"shares/{key}", key)
    shares = [
        world.report(
            world.start(
                "print(open(f'{ML}/input/config/mine.json').read())",
                channels=(
                    Channel(
                        "train", "s3://work/shares/", listing="input/config/mine.json", shard_index=index, shard_count=4
                    ),
                ),
            )
        )
        for index in range(4)
    ]
    assert shares == [{key: f"s3://work/shares/{key}"} for key in ("a/b", "c", "d")] + [{}]


def test_channel_may_be_changed_by_the_job_without_harm(world):
    uri = world.put("mutable/a.csv", "whole")
    world.run("open(f'{ML}/input/data/train/a.csv', 'w').write('gone')", channels=(Channel("train", uri=uri),))
    assert world.get("mutable/a.csv") == b"whole"


def test_bytes_downloaded(world):
    uri = world.put("counted/a", "12345")
    assert world.run("pass", channels=(Channel("train", uri=uri),)).bytes_downloaded == 5


def test_channel_elsewhere(world):
    uri = world.put("elsewhere/a.txt", "here")
    spec = world.start(
        "print(json.dumps(open(f'{ML}/processing/input/x/a.txt').read()))",
        channels=(Channel("x", uri=uri, path="processing/input/x"),),
    )
    assert world.report(spec) == "here"


def test_shards_are_disjoint_and_whole(world):
    for number in range(5):
        world.put(f"shards/{number}", str(number))
    shards = [show(world, uri="s3://work/shards/", shard_index=index, shard_count=2) for index in range(2)]
    assert sorted([*shards[0], *shards[1]]) == ["0", "1", "2", "3", "4"]
    assert {len(shard) for shard in shards} == {2, 3}


def test_gzip(world):
    uri = world.put("zipped/a.csv.gz", gzip.compress(b"one\n") + gzip.compress(b"two\n"))
    assert show(world, uri=uri, gzip=True) == {"a.csv": "one\ntwo\n"}


def test_manifest(world):
    world.put("listed/x/a.csv", "1")
    world.put("listed/b.csv", "2")
    world.put("listed/not.csv", "3")
    uri = world.put("lists/m", json.dumps([{"prefix": "s3://work/listed/"}, "x/a.csv", "b.csv"]))
    assert show(world, uri=uri, data_type=DataType.MANIFEST) == {"x/a.csv": "1", "b.csv": "2"}


def test_fast_file_is_a_read_only_view(world):
    uri = world.put("fast/a.csv", "x" * 100_000)
    spec = world.start(
        "path = f'{ML}/input/data/train/a.csv'\n"
        "try:\n    open(path, 'w').write('gone'); refused = False\n"
        "except OSError:\n    refused = True\n"
        "print(json.dumps([refused, len(open(path).read()) if refused else 0]))",
        channels=(Channel("train", uri=uri, mode=InputMode.FAST_FILE),),
    )
    refused = world.report(spec)
    assert refused == [True, 100_000] or not world.confined
    assert world.get("fast/a.csv") == b"x" * 100_000


@pytest.mark.parametrize(
    ("members", "complaint"),
    [
        ({"uri": "s3://work/no-such-prefix"}, "no S3 objects found"),
        ({"uri": "s3://no-such-bucket/x"}, "NoSuchBucket"),
        ({"uri": "http://example/x"}, "not an S3 URI"),
        ({"uri": "s3://work/bad/manifest", "data_type": DataType.MANIFEST}, "is not JSON"),
        ({"uri": "s3://work/bad/absent", "data_type": DataType.MANIFEST}, "NoSuchKey"),
        ({"uri": "s3://work/bad/escape", "data_type": DataType.MANIFEST}, '".."'),
        ({"uri": "s3://work/bad/manifest", "gzip": True}, "not valid gzip"),
        ({"uri": "s3://work/bad/manifest", "data_type": DataType.AUGMENTED_MANIFEST}, "Pipe"),
        ({"uri": "s3://work/clash"}, "another object took its path"),
    ],
)
def test_what_the_user_got_wrong(world, members, complaint):
    world.put("bad/manifest", "not json")
    world.put("bad/escape", json.dumps([{"prefix": "s3://work/"}, "../../../../tmp/evil"]))
    world.put("clash/a", "1")
    world.put("clash/a/b", "2")
    seen = world.run("print('never')", channels=(Channel("train", **members),))
    assert (seen.outcome, seen.failure, seen.exit_code) == (Outcome.FAILED, Failure.CLIENT, None)
    assert complaint in seen.reason


def test_objects_of_another_account_are_refused(world):
    world.objects.buckets.ensure("foreign", "999999999999", "eu-west-1")
    world.objects.put_bytes("foreign", "secret", b"x")
    seen = world.run("print('never')", channels=(Channel("train", uri="s3://foreign/secret"),))
    assert (seen.outcome, seen.failure) == (Outcome.FAILED, Failure.CLIENT)
    assert "AccessDenied" in seen.reason


def test_keys_that_try_to_escape(world):
    world.put("escape/../../../up", "x")
    seen = world.run("print('never')", channels=(Channel("train", uri="s3://work/escape/"),))
    assert seen.failure is Failure.CLIENT


def test_pipe_feeds_every_epoch_anew(world):
    world.put("piped/a", "one ")
    world.put("piped/b", "two ")
    spec = world.start(
        READ_PIPES.replace("EPOCHS", "3"), channels=(Channel("train", uri="s3://work/piped/", mode=InputMode.PIPE),)
    )
    assert world.report(spec) == ["one two "] * 3


def test_pipe_reader_may_leave_early(world):
    world.put("large/a", b"x" * 5_000_000)
    spec = world.start(
        "open(f'{ML}/input/data/train_0').read(10)\nprint(json.dumps(len(open(f'{ML}/input/data/train_1').read())))",
        channels=(Channel("train", uri="s3://work/large/", mode=InputMode.PIPE),),
    )
    assert world.report(spec) == 5_000_000


def test_pipe_that_nobody_reads(world):
    world.put("piped/a", "one ")
    seen = world.run("pass", channels=(Channel("train", uri="s3://work/piped/", mode=InputMode.PIPE),))
    assert seen.outcome is Outcome.COMPLETED


def test_pipe_shuffles_each_epoch(world):
    for number in range(8):
        world.put(f"shuffled/{number}", str(number))
    channel = Channel("train", uri="s3://work/shuffled/", mode=InputMode.PIPE, shuffle_seed=7)
    epochs = world.report(world.start(READ_PIPES.replace("EPOCHS", "2"), channels=(channel,)))
    assert [sorted(epoch) for epoch in epochs] == [list("01234567")] * 2
    assert epochs[0] != epochs[1]


def test_pipe_frames_records_and_unzips(world):
    world.put("framed/a", gzip.compress(b"12345"))
    spec = world.start(
        "print(json.dumps(open(f'{ML}/input/data/train_0', 'rb').read().hex()))",
        channels=(Channel("train", uri="s3://work/framed/", mode=InputMode.PIPE, record_io=True, gzip=True),),
    )
    assert bytes.fromhex(world.report(spec)) == struct.pack("<II", 0xCED7230A, 5) + b"12345\0\0\0"


def test_pipe_of_an_augmented_manifest(world):
    world.put("pictures/1", "<1>")
    lines = [{"source-ref": "s3://work/pictures/1", "label": 4}, {"source-ref": "s3://work/pictures/1", "label": "no"}]
    uri = world.put("augmented", "\n".join(map(json.dumps, lines)) + "\n")
    channel = Channel(
        "train",
        uri=uri,
        data_type=DataType.AUGMENTED_MANIFEST,
        attribute_names=("source-ref", "label"),
        mode=InputMode.PIPE,
    )
    assert world.report(world.start(READ_PIPES.replace("EPOCHS", "1"), channels=(channel,))) == ["<1>4<1>no"]


def test_pipe_fault_while_it_streams_ends_the_host(world):
    uri = world.put("fault", json.dumps([{"prefix": "s3://work/"}, "no-such-object"]))
    seen = world.run(
        "open(f'{ML}/input/data/train_0').read()\nsignal.pause()",
        channels=(Channel("train", uri=uri, data_type=DataType.MANIFEST, mode=InputMode.PIPE),),
    )
    assert (seen.outcome, seen.failure) == (Outcome.FAILED, Failure.CLIENT)
    assert "no-such-object" in seen.reason


def test_pipe_cannot_be_led_elsewhere(world, tmp_path):
    """A job that swaps its FIFO for a link to a file of the platform's gets nothing written there."""
    world.put("piped/a", "one ")
    victim = tmp_path / "victim"
    victim.write_text("precious")
    spec = world.start(
        f"open(f'{{ML}}/input/data/train_0').read()\n"
        f"os.unlink(f'{{ML}}/input/data/train_1')\n"
        f"os.symlink({str(victim)!r}, f'{{ML}}/input/data/train_1')\n"
        "signal.pause()",
        channels=(Channel("train", uri="s3://work/piped/", mode=InputMode.PIPE),),
        max_runtime_seconds=3,
    )
    world.ended(spec)
    assert victim.read_text() == "precious"


def archive(**members):
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            if content is None:
                info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
            else:
                info.size = len(content)
            tar.addfile(info, io.BytesIO(content or b""))
    return data.getvalue()


def test_model_archive_and_tree(world):
    packed = world.put("models/m.tar.gz", archive(**{"weights": b"w", "code/inference.py": b"i"}))
    world.put("models/tree/weights", b"t")
    spec = world.start(
        "files = ('model/weights', 'model/code/inference.py', 'second/weights')\n"
        "print(json.dumps([open(f'{ML}/{file}').read() for file in files]))",
        models=(ModelSource(packed), ModelSource("s3://work/models/tree/", path="second", archive=False)),
    )
    assert world.report(spec) == ["w", "i", "t"]


@pytest.mark.parametrize("members", [{"../../escape": b"x"}, {"/abs/../../x": b"x"}, {"link": None}])
def test_archives_that_try_to_escape(world, members):
    uri = world.put("models/evil.tar.gz", archive(**members))
    seen = world.run("print('never')", models=(ModelSource(uri),))
    assert (seen.outcome, seen.failure) == (Outcome.FAILED, Failure.CLIENT)


def test_archive_that_is_none(world):
    uri = world.put("models/broken.tar.gz", b"\x1f\x8bnot really")
    assert "cannot be extracted" in world.run("print('never')", models=(ModelSource(uri),)).reason
