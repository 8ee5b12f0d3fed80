"""What is said of files that lines of Python write."""

import json
import sys
from pathlib import Path

import eventfile
import filter
import h5py  # noqa: F401  for what is executed
import numpy as np  # noqa: F401
import uproot  # noqa: F401

real, told = Path(sys.argv[1]), []
for number, make in enumerate(json.loads(sys.argv[2])):
    path = Path(f"{number}; y.root")
    exec(make)
    try:
        told.append(repr(filter.read(path)))
    except eventfile.EventFileError as error:
        told.append(str(error))
print(json.dumps(told))
