import deconvnet.runs.kinds

from .figure import transfer_figure as transfer_figure
from .labels import read_labels as read_labels
from .measure import Scratch as Scratch
from .measure import Transfer as Transfer
from .measure import split_fold as split_fold
from .measure import transfer as transfer
from .measure import transfer_labels as transfer_labels
from .record import TransferRecord as TransferRecord

KIND: deconvnet.runs.kinds.Kind
