"""Records and run directories: the neck of the hourglass, read and written without torch.

The record of each experiment lies in its own folder; importing this package loads neither numpy nor Pillow.
"""

from deconvnet.runs.directory import Manifest, Run, places
from deconvnet.runs.files import (
    read_arrays,
    read_image,
    read_json,
    write_arrays,
    write_bytes,
    write_image,
    write_json,
    write_text,
    writing,
)
from deconvnet.runs.units import Unit

__all__ = [
    "Manifest",
    "Run",
    "Unit",
    "places",
    "read_arrays",
    "read_image",
    "read_json",
    "write_arrays",
    "write_bytes",
    "write_image",
    "write_json",
    "write_text",
    "writing",
]
