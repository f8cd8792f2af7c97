"""Records and run directories: the neck of the hourglass, read and written without torch."""

from deconvnet.runs.units import Unit

__all__ = ["Unit"]
