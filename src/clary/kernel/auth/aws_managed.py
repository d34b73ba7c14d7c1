"""AWS-managed policies that people attach, by name. Each allows the services that AWS documents for it.

They are broader than AWS's where AWS narrows by resource names; what they never do is allow another service.
"""

import orjson


def _allowing(*actions: str) -> str:
    return orjson.dumps(
        {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": list(actions), "Resource": "*"}]}
    ).decode()


_READ = ("Get*", "List*", "Describe*")

DOCUMENTS: dict[str, str] = {
    "AdministratorAccess": _allowing("*"),
    "PowerUserAccess": orjson.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "NotAction": ["iam:*", "organizations:*", "account:*"],
                    "Resource": "*",
                },
                {
                    "Effect": "Allow",
                    "Action": ["iam:CreateServiceLinkedRole", "iam:DeleteServiceLinkedRole", "iam:ListRoles"],
                    "Resource": "*",
                },
            ],
        }
    ).decode(),
    "ReadOnlyAccess": _allowing(
        *(
            f"{service}:{verb}"
            for service in (
                "sagemaker",
                "s3",
                "logs",
                "cloudwatch",
                "ecr",
                "lambda",
                "sns",
                "sqs",
                "events",
                "glue",
                "athena",
                "elasticmapreduce",
                "kinesis",
                "firehose",
                "iam",
            )
            for verb in _READ
        ),
        "logs:FilterLogEvents",
        "sagemaker:Search",
    ),
    "IAMFullAccess": _allowing("iam:*"),
    "IAMReadOnlyAccess": _allowing("iam:Get*", "iam:List*", "iam:Simulate*"),
    "AmazonS3FullAccess": _allowing("s3:*"),
    "AmazonS3ReadOnlyAccess": _allowing("s3:Get*", "s3:List*", "s3:Describe*"),
    "AmazonSageMakerFullAccess": _allowing(
        "sagemaker:*",
        "application-autoscaling:*",
        "athena:*",
        "cloudwatch:*",
        "ecr:*",
        "events:*",
        "glue:*",
        "iam:GetRole",
        "iam:ListRoles",
        "iam:PassRole",
        "lambda:InvokeFunction",
        "lambda:ListFunctions",
        "logs:*",
        "s3:*",
        "sns:*",
        "sqs:*",
    ),
    "AmazonSageMakerReadOnly": _allowing(*(f"sagemaker:{verb}" for verb in _READ), "sagemaker:Search"),
    "AmazonSageMakerFeatureStoreAccess": _allowing("s3:PutObject", "s3:GetBucketAcl", "s3:PutObjectAcl"),
    "CloudWatchFullAccess": _allowing("cloudwatch:*", "logs:*", "sns:*"),
    "CloudWatchLogsFullAccess": _allowing("logs:*"),
    "CloudWatchReadOnlyAccess": _allowing(*(f"cloudwatch:{verb}" for verb in _READ), "logs:Get*", "logs:Describe*"),
    "AWSLambda_FullAccess": _allowing("lambda:*", "logs:*", "iam:PassRole"),
    "AmazonSNSFullAccess": _allowing("sns:*"),
    "AmazonSQSFullAccess": _allowing("sqs:*"),
    "AmazonEventBridgeFullAccess": _allowing("events:*", "iam:PassRole"),
    "AmazonAthenaFullAccess": _allowing("athena:*", "glue:*", "s3:*"),
    "AWSGlueConsoleFullAccess": _allowing("glue:*", "s3:*", "iam:PassRole", "logs:*"),
    "AmazonKinesisFullAccess": _allowing("kinesis:*"),
    "AmazonKinesisReadOnlyAccess": _allowing(*(f"kinesis:{verb}" for verb in _READ)),
    "AmazonKinesisFirehoseFullAccess": _allowing("firehose:*"),
    "AmazonEC2ContainerRegistryFullAccess": _allowing("ecr:*"),
    "AmazonEC2ContainerRegistryReadOnly": _allowing(
        "ecr:GetAuthorizationToken", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:Describe*", "ecr:List*"
    ),
    "AmazonTextractFullAccess": _allowing("textract:*"),
    "AmazonRekognitionFullAccess": _allowing("rekognition:*"),
    "AmazonAugmentedAIFullAccess": _allowing("sagemaker:*HumanLoop*", "sagemaker:*FlowDefinition*", "sagemaker:*Task*"),
    "service-role/AWSLambdaBasicExecutionRole": _allowing(
        "logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"
    ),
    "service-role/AWSGlueServiceRole": _allowing("glue:*", "s3:*", "logs:*", "cloudwatch:PutMetricData", "iam:GetRole"),
    "service-role/AmazonElasticMapReduceRole": _allowing("elasticmapreduce:*", "s3:*", "sqs:*", "cloudwatch:*"),
}


def document(arn: str) -> str | None:
    """The document of `arn:aws:iam::aws:policy/Name`; None when Clary does not know that policy."""
    prefix, found, name = arn.partition(":policy/")
    if not found or not prefix.endswith(":iam::aws"):
        return None
    return DOCUMENTS.get(name)
