"""Checkpoints in the format of the paper's authors: read without running anything, and only where everything fits."""

from __future__ import annotations

import io
import os
import pickle
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from theory.storage import sha256_of_bytes

from .models import check_model_name, guess_model, restore_model

__all__ = ["PUBLISHED_SHA256", "CheckpointError", "load_published"]

_MAX_BYTES = 1 << 28  # 256 MiB: fifty times the largest of them
PUBLISHED_SHA256 = {  # of the authors' own files, by name
    "MNISTCNN_00200.tar": "6ebf41f9848570d72b3d46f2acf4657a23dde59a723688b50fc4c5d317af0084",
    "MNISTCNN_constraint_00200.tar": "658976fb88f2498ed1c48575a1751424add180c93aa47e5b14927afacc409729",
    "MNISTCNN_reg_00200.tar": "a2de832e82f921f781d50eaf2527fc6060ad14795ca3dfe6ca2cae7a764ba653",
    "MNISTLR_01000.tar": "8ac33b82f2c80e73dfbf1a315e52ced0b03ad4a1dbf3645ec311100a25c3c7e0",
}


class CheckpointError(ValueError):
    """A checkpoint that is missing, damaged, unsafe or of another network; the message names the file."""


def load_published(
    path: str | os.PathLike[str], model: str | None = None, *, sha256: str | None = None
) -> tuple[nn.Module, dict[str, float]]:
    """Return the network in a checkpoint of the authors' format, in evaluation mode, and the numbers stored beside it.

    Parameters
    ----------
    path   : a file of ``torch.save`` with a state dict under ``model_state_dict`` (or a bare state dict).
    model  : one of ``deep.models.MODELS`` that it must be; None to read it off the keys.
    sha256 : what the file's SHA-256 must be.  The format has no check sum of its own, so that a flipped bit in a weight
             would load silently; for the file names of the published checkpoints the sum is known and is the default.

    Only tensors and plain containers are unpickled (``weights_only``): code in the file is refused, never executed.
    The numbers are those of ``train_acc``, ``test_acc``, ``loss`` and ``epochs`` that are there.
    Raises ``CheckpointError`` in one line for a file that is missing, above 256 MiB, of another sum, damaged, unsafe,
    of another network, or with weights that are not finite; ``ValueError`` for an unknown ``model``.
    """
    if model is not None:
        check_model_name(model)
    name, data = Path(path).name, _read(path)
    expected = sha256 if sha256 is not None else PUBLISHED_SHA256.get(name)
    if expected is not None and (found := sha256_of_bytes(data)) != expected:
        raise CheckpointError(f"{name}: SHA-256 {found} must be {expected}; the file was altered, or is another one")
    stored = _unpickle(name, data)
    weights = stored.get("model_state_dict", stored)
    if not isinstance(weights, dict) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in weights.items()
    ):
        raise CheckpointError(f"{name}: must hold tensors by name, at the top or under 'model_state_dict'")
    try:
        network = restore_model(model if model is not None else guess_model(weights), weights)
    except ValueError as error:
        raise CheckpointError(f"{name}: {error}") from None
    for key, value in network.state_dict().items():
        if not torch.isfinite(value).all():
            raise CheckpointError(f"{name}: {key} must be finite; it holds NaN or infinity")
    numbers = {key: stored.get(key) for key in ("train_acc", "test_acc", "loss", "epochs")}
    return network.eval(), {key: float(value) for key, value in numbers.items() if isinstance(value, (int, float))}


def _read(path: str | os.PathLike[str]) -> bytes:
    try:
        with Path(path).open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise CheckpointError(f"{os.fspath(path)}: cannot be read ({error.strerror or error})") from error
    if len(data) > _MAX_BYTES:
        raise CheckpointError(f"{Path(path).name}: must have at most {_MAX_BYTES} bytes")
    return data


def _unpickle(name: str, data: bytes) -> dict[str, Any]:
    try:
        if zipfile.is_zipfile(io.BytesIO(data)):
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                if sum(member.file_size for member in archive.infolist()) > _MAX_BYTES:
                    raise CheckpointError(f"{name}: unpacks to more than {_MAX_BYTES} bytes")
                if (damaged := archive.testzip()) is not None:
                    raise CheckpointError(f"{name}: member {damaged!r} is damaged; its CRC must match")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about old formats: what matters is checked here
            stored = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except CheckpointError:
        raise
    except pickle.UnpicklingError:
        raise CheckpointError(
            f"{name}: must hold tensors and plain values only, whole; it is damaged, or would run code, and was refused"
        ) from None
    except Exception as error:  # a damaged file fails anywhere in torch.load, with any type
        reason = str(error).strip().splitlines()[0][:120] if str(error).strip() else type(error).__name__
        raise CheckpointError(
            f"{name}: cannot be read as a checkpoint; it is damaged or truncated ({reason})"
        ) from None
    if not isinstance(stored, dict):
        raise CheckpointError(f"{name}: must hold a dictionary, not {type(stored).__name__}")
    return stored
