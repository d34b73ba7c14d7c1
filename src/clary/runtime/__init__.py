"""What runs inside a job: training toolkit, built-in algorithms and inference server.

Nothing here imports any other part of Clary. The whole interface is the command line, the environment and the
directory tree under /opt/ml. README.md beside this file states the contract in full; in short:

    python -m clary.runtime train                     run the training job that /opt/ml describes
    python -m clary.runtime serve                     answer /ping and /invocations for the model in /opt/ml/model
    python -m clary.runtime function                  answer invocations of the Lambda function in /opt/ml/task
    python -m clary.runtime script FILE [ARGUMENT...] what python3 FILE ARGUMENT... does, in this interpreter
    python -m clary.runtime spark-submit ...         run a Spark application, as SageMaker's smspark-submit does
    python -m clary.runtime warm --preload a,b [FIFO] import a and b, wait for one JSON line, then become its command

CLARY_ML_ROOT names the directory that stands for /opt/ml (default: /opt/ml).
CLARY_ALGORITHM names the built-in algorithm (`xgboost`) used when no user script is given.
CLARY_FRAMEWORK names the defaults around a user's script: `xgboost`, `sklearn` or `python`.
"""
