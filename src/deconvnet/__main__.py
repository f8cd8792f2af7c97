"""``python -m deconvnet``: the command line."""

from deconvnet.cli import main

main()
