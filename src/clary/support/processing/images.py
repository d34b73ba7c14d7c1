"""The image that only processing jobs use: Spark's."""

from clary.kernel.images import Family, Runtime

_SUBMIT = ("python", "-m", "clary.runtime", "spark-submit")

FAMILIES = (
    Family(
        Runtime(family="spark", programs={"smspark-submit": _SUBMIT, "spark-submit": _SUBMIT}),
        repositories=("sagemaker-spark-processing",),
        modules=("pyspark", "boto3"),
        extra="spark",
    ),
)
