"""SageMaker's XGBoost algorithm on the open-source library: `algorithm.py` trains, `serving.py` answers."""
