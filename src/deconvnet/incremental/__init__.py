"""Engine: what a network answers when a part of the photo is covered, for thousands of places without full passes."""

from deconvnet.incremental.plain import plain
from deconvnet.incremental.prepared import PreparedPhoto, prepare
from deconvnet.incremental.records import Responses

__all__ = ["PreparedPhoto", "Responses", "plain", "prepare"]
