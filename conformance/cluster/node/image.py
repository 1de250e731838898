#!/usr/bin/env python3
"""Makes the image of a pod's first container, localhost/pause:test, from the program: image.py PROGRAM OUT.tar"""

import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../charts/image"))
from oci import Layer, archive  # noqa: E402

layer = Layer()
layer.file("/pause", sys.argv[1], 0o755)
print(archive(sys.argv[2], "localhost/pause", "test", [layer], ["/pause"], 65535))
