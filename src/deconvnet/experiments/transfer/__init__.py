"""How well features serve other photos and other classes: Tables 4 to 7."""

from deconvnet.experiments.transfer.labels import read_labels
from deconvnet.experiments.transfer.tables import Scratch, Transfer, split_fold, transfer, transfer_labels

__all__ = ["Scratch", "Transfer", "read_labels", "split_fold", "transfer", "transfer_labels"]
