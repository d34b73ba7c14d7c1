"""A source directory whose requirements name a package that nobody else has: a wheel beside them."""

import zipfile
from pathlib import Path

WHEEL = "counting-1-py3-none-any.whl"
SCRIPT = """
import counting, os, sys

print("counted", counting.count(sys.argv[1]))
with open("/opt/ml/processing/output/count.txt", "w") as file:
    file.write(str(counting.count(sys.argv[1])))
"""


def make_source(folder: Path) -> Path:
    """Write `count.py`, `requirements.txt` and the wheel into `folder`."""
    info = "counting-1.dist-info"
    files = {
        "counting.py": "def count(text):\n    return len(text.split())\n",
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: counting\nVersion: 1\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": "",
    }
    with zipfile.ZipFile(folder / WHEEL, "w") as wheel:
        for name, text in files.items():
            wheel.writestr(name, text)
    (folder / "requirements.txt").write_text(f"./{WHEEL}\n")
    (folder / "count.py").write_text(SCRIPT)
    return folder
