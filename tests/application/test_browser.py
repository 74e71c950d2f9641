"""The pages in a real browser: headless Chromium, where there is one."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(BROWSER is None, reason="needs Chromium")
WIDTH, HEIGHT = 1200, 3000
DARK = "--blink-settings=preferredColorScheme=0"
Run = Callable[..., "subprocess.CompletedProcess[str]"]


def browse(page: Path, profile: Path, *options: str) -> subprocess.CompletedProcess[str]:
    words = (
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--enable-logging=stderr",
        f"--user-data-dir={profile}",
        f"--window-size={WIDTH},{HEIGHT}",
        "--virtual-time-budget=4000",
    )
    return subprocess.run(
        [str(BROWSER), *words, *options, page.resolve().as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )


def complaints(done: subprocess.CompletedProcess[str]) -> list[str]:
    """What the page's console holds: script errors, and what the security policy refused."""
    return [line for line in done.stderr.splitlines() if ":CONSOLE" in line]


def picture(page: Path, place: Path, *options: str) -> np.ndarray:
    file = place / f"shot{len(list(place.glob('shot*')))}.png"
    browse(page, place / "profile", f"--screenshot={file}", *options)
    return np.asarray(matplotlib.image.imread(file))[..., :3]


@pytest.fixture(scope="module")
def page(reproduced: dict[str, Any]) -> Path:
    return Path(reproduced["folders"]["first"]) / "report.html"


def test_tables_figures_and_filters_are_there(page: Path, tmp_path: Path) -> None:
    done = browse(page, tmp_path, "--dump-dom")
    written = page.read_text(encoding="utf-8")
    assert complaints(done) == []
    for mark in ("<svg", "<figure", "<tr", "<table"):
        assert done.stdout.count(mark) == written.count(mark) > 0, mark
    bars = done.stdout.count('<form class="filter"')
    assert bars == written.count("<table data-filter=") > 0
    shown = re.findall(r"<output>(\d+) of (\d+)</output>", done.stdout)
    assert len(shown) == bars
    assert all(some == every != "0" for some, every in shown)


def test_the_page_is_whole_without_scripts(page: Path, tmp_path: Path) -> None:
    text = page.read_text(encoding="utf-8")
    bare = tmp_path / "bare.html"  # headless Chromium needs scripts itself: take the page's out instead
    bare.write_text(re.sub(r"<script>.*</script>", "", text, flags=re.DOTALL), encoding="utf-8")
    bands = picture(bare, tmp_path)[: HEIGHT // 10 * 10].reshape(10, -1, 3)
    assert all(band.std() > 0.02 for band in bands)
    done = browse(bare, tmp_path / "bare", "--dump-dom")
    assert "<form" not in done.stdout
    assert done.stdout.count("<tr") == text.count("<tr") > 0


def test_filters_and_sorting_do_what_they_say(page: Path, tmp_path: Path) -> None:
    driver = """
      const table = document.querySelector("table[data-filter]"), bar = table.parentElement.previousElementSibling;
      const rows = () => [...table.tBodies[0].rows].filter((row) => !row.hidden);
      const visible = () => rows().map((row) => row.cells[0].textContent);
      const all = visible().length, input = bar.querySelector("input");
      input.value = "perceptron"; input.dispatchEvent(new Event("input"));
      const one = visible().length;
      input.value = ""; input.dispatchEvent(new Event("input"));
      const button = [...bar.querySelectorAll("button")].find((b) => b.textContent === "refuted");
      button.click();
      const refuted = rows().every((row) => row.textContent.includes("REFUTED"));
      const some = visible().length;
      button.click(); table.tHead.rows[0].cells[0].querySelector("button").click();
      const up = visible().join("|"); table.tHead.rows[0].cells[0].querySelector("button").click();
      const down = visible().reverse().join("|");
      document.title = `${all} ${one} ${some} ${refuted} ${up === down && up !== ""}`;
    """
    text = page.read_text(encoding="utf-8")
    text = re.sub(r"script-src '[^']*'", "script-src 'unsafe-inline'", text, count=1)
    driven = tmp_path / "driven.html"
    driven.write_text(text.replace("</body>", f"<script>{driver}</script></body>"), encoding="utf-8")
    title = re.search(r"<title>(\d+) (\d+) (\d+) (\w+) (\w+)</title>", browse(driven, tmp_path, "--dump-dom").stdout)
    assert title is not None
    every, one, some = (int(word) for word in title.groups()[:3])
    assert 1 == one <= some < every
    assert title.groups()[3:] == ("true", "true")


def test_a_foreign_script_is_refused(page: Path, tmp_path: Path) -> None:
    hostile = tmp_path / "hostile.html"
    text = page.read_text(encoding="utf-8")
    hostile.write_text(text.replace("</body>", "<script>document.title = 'owned'</script></body>"), encoding="utf-8")
    done = browse(hostile, tmp_path, "--dump-dom")
    assert "<title>owned" not in done.stdout
    assert any("Content Security Policy" in line for line in complaints(done))


def test_light_and_dark_both_show_ink_on_paper(page: Path, tmp_path: Path) -> None:
    light, dark = picture(page, tmp_path), picture(page, tmp_path, DARK)
    for shot in (light, dark):
        assert shot.shape[:2] == (HEIGHT, WIDTH)
        bands = shot[: HEIGHT // 10 * 10].reshape(10, -1, 3)
        assert all(band.std() > 0.02 for band in bands)  # something is drawn from top to bottom
    assert np.median(light) > 0.8
    assert np.median(dark) < 0.3


def test_an_empty_page_would_be_noticed(tmp_path: Path) -> None:
    empty = tmp_path / "empty.html"
    empty.write_text("<!doctype html><title>nothing</title>", encoding="utf-8")
    assert picture(empty, tmp_path).std() < 0.02


def test_several_runs_are_compared(reproduced: dict[str, Any], run: Run, tmp_path: Path) -> None:
    first, second = (str(reproduced["folders"][name]) for name in ("first", "second"))
    out = tmp_path / "both.html"
    done = run("report", first, second, "--out", str(out))
    assert done.returncode == 0
    assert "differ  0 of" in done.stdout.replace("differ      ", "differ  ")
    shown = browse(out, tmp_path, "--dump-dom")
    assert complaints(shown) == []
    assert "SAME" in shown.stdout
    assert ">DIFFER<" not in shown.stdout
