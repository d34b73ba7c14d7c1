"""SageMaker SDK v3 without a single argument: session, account, bucket, role."""

import json

from sagemaker.core.helper.session_helper import Session, get_execution_role

session = Session()
bucket = session.default_bucket()
session.upload_string_as_file_body("hello", bucket, "clients/hello-v3.txt")
print(
    json.dumps(
        {
            "account": session.account_id(),
            "bucket": bucket,
            "role": get_execution_role(),
            "read": session.read_s3_file(bucket, "clients/hello-v3.txt"),
        }
    )
)
