"""Where a container's data lies, as AWS documents it."""

from clary.kernel.jobs.contract import ModelSource
from clary.kernel.serving.models import model_sources

ARCHIVE = {"S3Uri": "s3://b/m.tar.gz", "S3DataType": "S3Object", "CompressionType": "Gzip"}
PREFIX = {"S3Uri": "s3://b/adapter/", "S3DataType": "S3Prefix", "CompressionType": "None"}


def test_a_model_and_what_comes_with_it_have_folders_of_their_own() -> None:
    additional = [{"ChannelName": "adapter", "S3DataSource": PREFIX}]
    packed = ModelSource("s3://b/m.tar.gz", "model", archive=True)
    assert model_sources({"Image": "i"}) == ()
    assert model_sources({"ModelDataUrl": "s3://b/m.tar.gz"}) == (packed,)
    assert model_sources({"ModelDataSource": {"S3DataSource": ARCHIVE}}) == (packed,)
    assert model_sources({"ModelDataUrl": "s3://b/m.tar.gz", "AdditionalModelDataSources": additional}, "c/2") == (
        ModelSource("s3://b/m.tar.gz", "c/2/model", archive=True),
        ModelSource("s3://b/adapter/", "c/2/additional-model-data-sources/adapter", archive=False),
    )
