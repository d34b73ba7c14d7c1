"""python -m clary.runtime train | serve | warm."""

import sys

from clary.runtime.entry import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
