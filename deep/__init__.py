"""Torch: loss modules, models, data, training and measured margins.  Importing this package imports torch.

`deep.plot`, and matplotlib with it, is loaded when it is first asked for.
"""

from typing import TYPE_CHECKING as _TYPE_CHECKING

from ._inputs import ModelError as ModelError
from ._store import RunFolderError as RunFolderError
from .attacks import FixedEps as FixedEps
from .attacks import Flag as Flag
from .attacks import MinimumNorm as MinimumNorm
from .attacks import decision_search as decision_search
from .attacks import flags as flags
from .attacks import minimum_norm as minimum_norm
from .attacks import pgd as pgd
from .attacks import published_pgd as published_pgd
from .bounds import exact_relu as exact_relu
from .bounds import linear_distances as linear_distances
from .bounds import lower_bound as lower_bound
from .bounds import operator_norms as operator_norms
from .bounds import reshaped_norms as reshaped_norms
from .bounds import sampled_estimate as sampled_estimate
from .bounds import violations as violations
from .cifar import load_cifar10 as load_cifar10
from .config import TrainConfig as TrainConfig
from .data import DataError as DataError
from .data import Dataset as Dataset
from .data import load_mnist as load_mnist
from .data import load_mnist5k as load_mnist5k
from .data import read_idx as read_idx
from .devices import Hardware as Hardware
from .distances import Distances as Distances
from .distances import distances_table as distances_table
from .download import Fetched as Fetched
from .download import data_root as data_root
from .download import fetch as fetch
from .losses import AverageMarginLoss as AverageMarginLoss
from .losses import ExpressionLoss as ExpressionLoss
from .losses import HingePenaltyLoss as HingePenaltyLoss
from .measure import margins as margins
from .models import MLP as MLP
from .models import ConvNet as ConvNet
from .models import LinearClassifier as LinearClassifier
from .models import build_model as build_model
from .orthogonality import orthogonality_penalty as orthogonality_penalty
from .presets import PRESETS as PRESETS
from .presets import ROWS as ROWS
from .presets import comparison as comparison
from .presets import preset as preset
from .published import CheckpointError as CheckpointError
from .published import load_published as load_published
from .runs import TrainProgress as TrainProgress
from .runs import TrainResult as TrainResult
from .runs import load_milestone as load_milestone
from .runs import load_model as load_model
from .runs import load_progress as load_progress
from .runs import load_run as load_run
from .search import search as search
from .sums import KNOWN_SUMS as KNOWN_SUMS
from .sums import FileSum as FileSum
from .sums import verify_folder as verify_folder
from .tables import Table as Table
from .tables import run_table as run_table
from .training import train as train

if _TYPE_CHECKING:
    from . import plot as plot


def __getattr__(name: str) -> object:
    if name == "plot":
        from importlib import import_module

        return import_module("deep.plot")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
