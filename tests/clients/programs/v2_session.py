"""SageMaker SDK v2 without a single argument: session, account, bucket, role."""

import json

import sagemaker

session = sagemaker.Session()
bucket = session.default_bucket()
uri = session.upload_string_as_file_body("hello", bucket, "clients/hello.txt")
print(
    json.dumps(
        {
            "account": session.account_id(),
            "bucket": bucket,
            "role": sagemaker.get_execution_role(),
            "uri": uri,
            "read": session.read_s3_file(bucket, "clients/hello.txt"),
        }
    )
)
