"""SageMaker's XGBoost algorithm on the open-source library: `algorithm` trains, `serving` answers."""

# The library's scikit-learn interface, which the algorithm does not use, takes most of its import time.
UNNEEDED = ("sklearn",)
