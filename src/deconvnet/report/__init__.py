"""From a run to one HTML file that holds everything it shows, without torch."""

from deconvnet.report.look import write_look_page

__all__ = ["write_look_page"]
