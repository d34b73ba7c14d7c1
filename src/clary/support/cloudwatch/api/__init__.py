"""The operations of CloudWatch, by what they act on."""
