"""Spark inside a job: `smspark-submit` as SageMaker's Spark image has it, and S3 as a file system for Spark.

Spark comes without a file system for S3. A job may reach S3 only as its role and through the platform's S3, so each
one runs a small WebHDFS server of its own, which Hadoop can speak to, over S3 with the job's credentials.
"""
