"""python -m clary.runtime train | serve | transform | function | script | run | notebook | spark-submit | warm."""

import os
import sys

from clary.runtime.ending import leave
from clary.runtime.entry import main

if __name__ == "__main__":
    # `-m` puts the working directory first, where a user's script should not look for modules.
    if sys.path[:1] == [os.getcwd()]:
        del sys.path[0]
    leave(main(sys.argv[1:]))
