"""The runs of the paper as frozen configurations: ``{mnist,fashion,cifar}-{lr,mlp,cnn}-{plain,constraint,reg}``.

``plain`` is cross-entropy, ``constraint`` adds the orthogonality penalty, ``reg`` the average-margin penalty as well,
at a smaller learning rate.  Batches of 128, Nesterov momentum .9.  ``plain`` and ``constraint`` do not read mu and tau.
Source: Wu & Yu (2019), arXiv 1907.11780; Fashion-MNIST, which the paper has not, takes the numbers of MNIST.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from .config import TrainConfig

__all__ = ["PRESETS", "ROWS", "comparison", "preset"]

_LR = {"plain": 0.01, "constraint": 0.01, "reg": 0.002}
_BETA = {"plain": 0.0, "constraint": 1e-3, "reg": 1e-3}
_TAU = {("mnist", "lr"): 5.0, ("mnist", "mlp"): 5.0, ("mnist", "cnn"): 40.0}
_TAU |= {("cifar", "lr"): 5.0, ("cifar", "mlp"): 10.0, ("cifar", "cnn"): 10.0}
_DATASETS = {"mnist": "mnist", "fashion": "fashion-mnist", "cifar": "cifar10"}


def _make(data: str, model: str, kind: str) -> TrainConfig:
    numbers = "cifar" if data == "cifar" else "mnist"
    lr, beta, epochs = _LR[kind], _BETA[kind], 1000 if model == "lr" else 200
    if (numbers, model, kind) == ("mnist", "lr", "constraint"):
        beta = 1.0
    if (numbers, model, kind) == ("cifar", "lr", "constraint"):
        epochs = 200
    if (numbers, model, kind) == ("cifar", "cnn", "plain"):
        lr = 0.005
    return TrainConfig(
        name=f"{data}-{model}-{kind}",
        dataset=_DATASETS[data],
        model={"lr": "linear", "mlp": "mlp", "cnn": f"{numbers}-cnn"}[model],
        loss="average-margin" if kind == "reg" else "ce",
        mu=0.1,
        tau=_TAU[numbers, model],
        beta=beta,
        lr=lr,
        weight_decay=1e-3 if (numbers, model) == ("cifar", "lr") else 0.0,
        epochs=epochs,
    )


PRESETS = {
    config.name: config
    for data in _DATASETS
    for model in ("lr", "mlp", "cnn")
    for config in (_make(data, model, kind) for kind in ("plain", "constraint", "reg"))
}
"""Name -> configuration: {mnist, cifar, fashion} x {lr, mlp, cnn} x {plain, constraint, reg}, numbers as published.

Source: Wu & Yu (2019), section 5, and the code released with it; for Fashion-MNIST the numbers of MNIST.
"""


_PLAIN = {"loss": "ce", "beta": 0.0}  # cross-entropy and nothing else
ROWS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        # at the learning rate of the preset, and at its beta where there is one
        "ce": _PLAIN,
        "ce-beta": {"loss": "ce"},
        "ce-beta-released": {"loss": "ce", "beta_as": "released"},
        "paper": {"loss": "average-margin"},
        "paper-dca": {"loss": "average-margin", "optimiser": "dca"},
        "released": {"loss": "average-margin-released"},
        "released-all": {"loss": "average-margin-released", "beta_as": "released"},
        "paper-true-kernels": {"loss": "average-margin", "kernels": "true"},
        "hinge": {"loss": "hinge-penalty", "beta": 0.0},
        "weight-decay": {**_PLAIN, "weight_decay": 5e-4},
        "adversarial": {**_PLAIN, "method": "adversarial"},
        "trades": {**_PLAIN, "method": "trades"},
        "mma": {**_PLAIN, "method": "mma"},
        # what of the published gain is due to what: from plain (none) to the paper's (all), one change at a time
        "ablation-none": {**_PLAIN, "lr": 0.01},
        "ablation-lr": {**_PLAIN, "lr": 0.002},
        "ablation-beta": {"loss": "ce", "lr": 0.01, "beta": 1e-3},
        "ablation-mu": {"loss": "average-margin", "lr": 0.01, "beta": 0.0},
        "ablation-all": {"loss": "average-margin", "lr": 0.002, "beta": 1e-3},
    }
)
"""The rows of a comparison: what each changes in a preset ``...-reg``, whose learning rate and beta the others share.

``released-all`` is the later released code as it stands: its clip and its doubled beta.  ``adversarial``, ``trades``
and ``mma`` read ``attack_eps`` and ``mma_limit``, which suit MNIST; change them for other images.
"""


def preset(name: str) -> TrainConfig:
    """Return the preset of this name; ``ValueError`` with the nearest name where there is none.

    >>> preset("mnist-cnn-reg").tau
    40.0
    >>> preset("cifar-lr-plain").weight_decay
    0.001
    """
    if name not in PRESETS:
        near = difflib.get_close_matches(str(name).lower(), PRESETS, n=1, cutoff=0.4)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"preset={name!r} must be one of the {len(PRESETS)} of `avgmargin train --list`{hint}")
    return PRESETS[name]


def comparison(name: str, row: str) -> TrainConfig:
    """Return the preset of this name with the changes of a row of ``ROWS``; named ``<preset>-<row>``.

    >>> found = comparison("mnist-mlp-reg", "ce-beta-released")
    >>> found.name, found.loss, found.lr, found.beta, found.beta_as
    ('mnist-mlp-reg-ce-beta-released', 'ce', 0.002, 0.001, 'released')

    Raises ``ValueError`` with the nearest name where there is no such preset or row.
    """
    base = preset(name)
    if row not in ROWS:
        near = difflib.get_close_matches(str(row).lower(), ROWS, n=1, cutoff=0.4)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"row={row!r} must be one of {', '.join(map(repr, ROWS))}{hint}")
    return replace(base, name=f"{base.name}-{row}", **ROWS[row])
