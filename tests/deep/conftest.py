"""What the tests of the deep package share: where the large data lie, a private cache, a small data set."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from deep import Dataset


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of large reference files: $AVGMARGIN_SHARED, else ``shared`` beside the checkout."""
    given = os.environ.get("AVGMARGIN_SHARED")
    folder = Path(given) if given else Path(__file__).resolve().parents[3] / "shared"
    if not folder.is_dir():
        pytest.skip("needs the folder of reference files (set AVGMARGIN_SHARED)")
    return folder


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder of this test's own."""
    monkeypatch.setenv("AVGMARGIN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="session")
def toy() -> Dataset:
    """Three overlapping clusters in seven dimensions: 150 points to train on, 60 to test."""
    rng = np.random.default_rng(20240607)
    centres = rng.uniform(0.2, 0.8, (3, 7))

    def draw(n: int) -> tuple[np.ndarray, np.ndarray]:
        y = rng.integers(0, 3, n)
        return np.clip(centres[y] + 0.15 * rng.normal(size=(n, 7)), 0.0, 1.0).astype(np.float32), y.astype(np.int64)

    return Dataset("toy", *draw(150), *draw(60))
