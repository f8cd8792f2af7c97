import deconvnet.runs.kinds

from .figure import diagnosis_figure as diagnosis_figure
from .measure import Diagnosis as Diagnosis
from .measure import diagnose as diagnose
from .measure import save_diagnoses as save_diagnoses
from .record import DiagnosisRecord as DiagnosisRecord

KIND: deconvnet.runs.kinds.Kind
