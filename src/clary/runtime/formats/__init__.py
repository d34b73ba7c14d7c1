"""Data formats of SageMaker's algorithms and endpoints: text/csv, libsvm, parquet and recordio-protobuf."""
