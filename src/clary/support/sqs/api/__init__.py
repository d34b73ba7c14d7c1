"""The operations of SQS, by what they act on."""
