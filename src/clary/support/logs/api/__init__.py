"""The operations of CloudWatch Logs, by what they act on."""
