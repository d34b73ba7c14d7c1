"""Images: which local runtime stands for a container image.

Clients name images of registries that a machine of one's own does not have. What an image would do is known by its
repository, so a *family* of images resolves to a *runtime*: the commands that train and serve, their environment,
and the Python modules they need. Rooms add families in a module `images.py` that holds `FAMILIES`.
"""

from clary.kernel.images.catalogue import Catalogue, Family, ImageUnavailable, Metric, Runtime
from clary.kernel.images.reference import ImageReference, parse_image

__all__ = ["Catalogue", "Family", "ImageReference", "ImageUnavailable", "Metric", "Runtime", "parse_image"]
