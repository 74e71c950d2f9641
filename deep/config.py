"""The frozen configuration of one training run, checked at the door."""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import torch
from torch import nn

from .losses import AverageMarginLoss, HingePenaltyLoss, check_weights
from .models import check_model_name
from .orthogonality import KERNELS
from .robust import ATTACK_OBJECTIVES, METHODS, RobustObjective

__all__ = ["BETA_AS", "DTYPES", "LOSSES", "OPTIMISERS", "TrainConfig"]

LOSSES = ("ce", "average-margin", "average-margin-released", "hinge-penalty")
OPTIMISERS = ("direct", "dca")
BETA_AS = ("formula", "released")
DTYPES = {"float32": torch.float32, "float64": torch.float64, "bf16-mixed": torch.float32}
_POSITIVE = ("attack_eps", "attack_step_size", "trades_beta", "mma_limit")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides a run, apart from the data themselves, which it names.

    name, dataset : labels of letters, digits, dots and dashes; ``dataset`` must be the name of the data set given.
    model, hidden : one of ``deep.models.MODELS``; ``mlp`` has that many hidden units, the others do not read it.
    loss, mu, tau : ``ce``, which reads neither number, ``average-margin`` (the paper's), ``average-margin-released``,
                    or ``hinge-penalty``, CE + mu H_tau with nothing subtracted.
    beta          : weight of sum_l ||W_l W_l^T - I||_F^2, added to the objective when it is not 0.
    lr, momentum, weight_decay : stochastic gradient descent, with Nesterov's momentum unless that is 0.
    batch_size, epochs, seed, threads : as they say; ``seed`` decides initial weights and the order of images.
    dtype         : ``float32``, ``float64``, or ``bf16-mixed``, float32 weights with bfloat16 products.

    optimiser     : ``direct``, the plain subgradient of the loss, as in the released code; or ``dca``, the paper's: the
                    gradient of H over the whole training set, taken at the start of each epoch, is subtracted from the
                    gradient of G at each of its steps (``deep.dca``).
    beta_as       : ``formula``, or ``released``: a layer's term once more for its bias, so that beta counts twice.
    kernels       : ``reshaped`` or ``true``, how convolutions enter that term (``deep.orthogonality``).

    method        : ``erm``, the loss at the images themselves; ``adversarial``, ``trades`` or ``mma``, which look at
                    perturbed images (``deep.robust.RobustObjective``) and read what follows.
    attack_eps, attack_steps, attack_step_size, attack_objective : radius of the L2 ball around each image, gradient
                    steps and their length, and what they climb, ``margin`` or ``ce``.  ``trades`` climbs its own
                    divergence; ``mma`` reads the number of steps alone.
    trades_beta   : weight of the divergence of ``trades``.
    mma_limit     : margin above which ``mma`` leaves an image alone.

    Raises ``ValueError`` for any value outside its range.
    """

    name: str = "run"
    dataset: str = "mnist5k"
    model: str = "linear"
    hidden: int = 1024
    loss: str = "average-margin"
    mu: float = 0.1
    tau: float = 5.0
    beta: float = 0.0
    lr: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 0.0
    batch_size: int = 128
    epochs: int = 20
    seed: int = 0
    threads: int = 1
    dtype: str = "float32"
    optimiser: str = "direct"
    beta_as: str = "formula"
    kernels: str = "reshaped"
    method: str = "erm"
    attack_eps: float = 1.0
    attack_steps: int = 10
    attack_step_size: float = 0.25
    attack_objective: str = "margin"
    trades_beta: float = 6.0
    mma_limit: float = 2.0

    def __post_init__(self) -> None:
        for name in ("name", "dataset"):
            value = getattr(self, name)
            if not (isinstance(value, str) and _NAME.fullmatch(value)):
                raise ValueError(f"{name}={value!r} must be 1 to 100 letters, digits, dots, dashes or underscores")
        for name in ("mu", "tau", "beta", "lr", "momentum", "weight_decay", *_POSITIVE):
            object.__setattr__(self, name, _real(name, getattr(self, name)))
        for name in ("hidden", "batch_size", "epochs", "threads", "attack_steps"):
            _integer(name, getattr(self, name), 1, 2**31 - 1)
        _integer("seed", self.seed, 0, 2**63 - 1)
        check_model_name(self.model)
        check_weights(self.mu, self.tau)
        _one_of("loss", self.loss, LOSSES)
        _one_of("dtype", self.dtype, tuple(DTYPES))
        _one_of("optimiser", self.optimiser, OPTIMISERS)
        _one_of("beta_as", self.beta_as, BETA_AS)
        _one_of("kernels", self.kernels, KERNELS)
        _one_of("method", self.method, METHODS)
        _one_of("attack_objective", self.attack_objective, ATTACK_OBJECTIVES)
        if self.optimiser == "dca" and self.loss in ("ce", "hinge-penalty"):
            raise ValueError(
                f"optimiser='dca' must go with a loss that has a penalty to split, not with loss={self.loss!r}"
            )
        if self.optimiser == "dca" and self.method != "erm":
            raise ValueError(f"optimiser='dca' must go with method='erm', not with method={self.method!r}")
        if self.beta < 0.0:
            raise ValueError(f"beta={self.beta!r} must be at least 0")
        for name in ("lr", *_POSITIVE):
            if getattr(self, name) <= 0.0:
                raise ValueError(f"{name}={getattr(self, name)!r} must be above 0")
        if not 0.0 <= self.momentum < 1.0:
            raise ValueError(f"momentum={self.momentum!r} must lie in [0, 1)")
        if self.weight_decay < 0.0:
            raise ValueError(f"weight_decay={self.weight_decay!r} must be at least 0")

    @property
    def torch_dtype(self) -> torch.dtype:
        """The dtype of weights and images."""
        return DTYPES[self.dtype]

    def make_loss(self) -> nn.Module:
        """Return the module that computes the batch mean of the loss, without the orthogonality term."""
        if self.loss == "ce":
            return nn.CrossEntropyLoss()
        if self.loss == "hinge-penalty":
            return HingePenaltyLoss(self.mu, self.tau)
        return AverageMarginLoss(self.mu, self.tau, "paper" if self.loss == "average-margin" else "released")

    def make_objective(self) -> RobustObjective | None:
        """Return what looks at perturbed images, or None for ``erm``."""
        if self.method == "erm":
            return None
        return RobustObjective(
            self.method,
            self.attack_eps,
            self.attack_steps,
            self.attack_step_size,
            self.attack_objective,
            self.trades_beta,
            self.mma_limit,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values, in order."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrainConfig:
        """Return the configuration of ``to_dict``; raises ``ValueError`` for a key that is no field.

        >>> TrainConfig.from_dict({"lr": 0.5}).lr
        0.5
        """
        known = [field.name for field in fields(cls)]
        for key in values:
            if key not in known:
                near = difflib.get_close_matches(str(key), known, n=1)
                raise ValueError(
                    f"{key!r} must be a field of TrainConfig" + (f"; did you mean {near[0]!r}?" if near else "")
                )
        return cls(**values)


def _real(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) <= sys.float_info.max:
        raise ValueError(f"{name}={value!r} must be a finite number")
    return float(value)


def _integer(name: str, value: object, least: int, most: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ValueError(f"{name}={value!r} must be an integer in {least}..{most}")


def _one_of(name: str, value: object, known: tuple[str, ...]) -> None:
    if value not in known:
        near = difflib.get_close_matches(str(value).lower(), known, n=1, cutoff=0.4)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"{name}={value!r} must be one of {', '.join(map(repr, known))}{hint}")
