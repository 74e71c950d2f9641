"""Torch: loss modules, models, data, training and measured margins.  Importing this package imports torch."""

from ._folder import RunFolderError as RunFolderError
from .config import TrainConfig as TrainConfig
from .data import DataError as DataError
from .data import Dataset as Dataset
from .data import load_mnist as load_mnist
from .data import load_mnist5k as load_mnist5k
from .data import read_idx as read_idx
from .losses import AverageMarginLoss as AverageMarginLoss
from .losses import ExpressionLoss as ExpressionLoss
from .losses import orthogonality_penalty as orthogonality_penalty
from .measure import margins as margins
from .models import MLP as MLP
from .models import LinearClassifier as LinearClassifier
from .models import build_model as build_model
from .search import search as search
from .training import TrainResult as TrainResult
from .training import load_model as load_model
from .training import load_run as load_run
from .training import train as train
