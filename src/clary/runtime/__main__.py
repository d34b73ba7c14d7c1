"""python -m clary.runtime train | serve | warm."""

import sys

from clary.runtime.ending import leave
from clary.runtime.entry import main

if __name__ == "__main__":
    leave(main(sys.argv[1:]))
