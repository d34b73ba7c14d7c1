"""The operations of SNS, by what they act on."""
