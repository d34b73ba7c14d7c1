"""The operations of IAM, by what they act on."""
