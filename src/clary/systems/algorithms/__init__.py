"""Built-in algorithms: data and hyperparameters in, a model out."""

from clary.kernel.rooms import Room

ROOM = Room(
    name="algorithms",
    number=15,
    title="Built-in algorithms",
    summary="XGBoost by data and hyperparameters alone, and the framework images for scripts of your own",
)
