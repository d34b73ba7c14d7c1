"""The images of built-in algorithms and frameworks, and what runs here in their place."""

from clary.kernel.images import Family, Metric, Runtime

_TRAIN = ("python", "-m", "clary.runtime", "train")
_SERVE = ("python", "-m", "clary.runtime", "serve")
_RUN = ("python", "-m", "clary.runtime", "run")
_PROGRAMS = {"amazon_sagemaker_scheduler": ("python", "-m", "clary.runtime", "notebook")}
_NUMBER = r"([-+]?(?:[0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?|nan|inf))"

_XGBOOST_METRICS = (
    "accuracy", "auc", "aucpr", "balanced_accuracy", "error", "f1", "f1_binary", "f1_macro", "gamma-nloglik", "logloss",
    "mae", "map", "mape", "merror", "mlogloss", "mse", "ndcg", "poisson-nloglik", "precision", "precision_macro",
    "precision_micro", "r2", "recall", "recall_macro", "recall_micro", "rmse", "rmsle", "tweedie-nloglik",
)  # fmt: skip

# A published regex names the tab between metrics as CloudWatch shows it, #011.
_XGBOOST_DEFINITIONS = tuple(
    Metric(f"{part}:{name}", rf"\[[0-9]+\].*#011{part}-{name}:{_NUMBER}")
    for name in _XGBOOST_METRICS
    for part in ("train", "validation")
)

FAMILIES = (
    Family(
        Runtime(
            family="xgboost",
            train=_TRAIN,
            serve=_SERVE,
            run=_RUN,
            programs=_PROGRAMS,
            environment={"CLARY_ALGORITHM": "xgboost", "CLARY_FRAMEWORK": "xgboost"},
            preload=("xgboost", "pandas"),
            metrics=_XGBOOST_DEFINITIONS,
        ),
        repositories=("sagemaker-xgboost", "xgboost"),
        modules=("xgboost", "numpy", "pandas", "pyarrow", "scipy"),
        extra="ml",
    ),
    Family(
        Runtime(
            family="scikit-learn",
            train=_TRAIN,
            serve=_SERVE,
            run=_RUN,
            programs=_PROGRAMS,
            environment={"CLARY_FRAMEWORK": "sklearn"},
            preload=("sklearn", "pandas"),
        ),
        repositories=("sagemaker-scikit-learn",),
        modules=("sklearn", "numpy", "pandas", "scipy", "joblib"),
        extra="ml",
    ),
    Family(
        Runtime(
            family="pytorch",
            train=_TRAIN,
            serve=_SERVE,
            run=_RUN,
            programs=_PROGRAMS,
            environment={"CLARY_FRAMEWORK": "pytorch"},
            preload=("torch",),
        ),
        repositories=("pytorch-training", "pytorch-inference", "sagemaker-pytorch"),
        modules=("torch", "numpy"),
        extra="torch",
    ),
    Family(
        Runtime(
            family="python",
            train=_TRAIN,
            serve=_SERVE,
            run=_RUN,
            programs=_PROGRAMS,
            environment={"CLARY_FRAMEWORK": "python"},
        ),
        repositories=("python", "sagemaker-base-python*", "sagemaker-distribution*", "sagemaker-data-science*"),
    ),
)
