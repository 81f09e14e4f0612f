"""Copies the two photographs that the runs of the demonstration validate on.

python -m scripts.photographs FOLDER
"""

import argparse
import shutil
from pathlib import Path

from training.data.embedded import VALIDATION, photographs


def main() -> None:
    parser = argparse.ArgumentParser(description="Copies two photographs that need no download.")
    parser.add_argument("folder", type=Path, help="where to; made where it is missing")
    folder: Path = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    for photograph in photographs(VALIDATION):
        print(shutil.copy(photograph, folder))


if __name__ == "__main__":
    main()
