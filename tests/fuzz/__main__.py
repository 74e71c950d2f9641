"""Fuzz every reader: `python -m tests.fuzz [--inputs 1000000] [--seed 0] [--only WORD] [--out docs/results/fuzz.json]`.

Prints what became of the inputs; the exit code is 1 where an input broke a rule. The counts go to `--out` if given.
Times are processor time.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from pathlib import Path

from tests.fuzz.harness import fuzz
from tests.fuzz.targets import targets
from theory.storage import write_atomic

SHARE = {"formula": 6.0, "IDX": 1.5, "certificate": 0.5, "CIFAR": 0.5, "published": 0.25, "run": 0.5}
"""Weights of the targets: cheap readers see more inputs."""


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="")
    parser.add_argument("--out")
    asked = parser.parse_args(argv)
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        chosen = [target for target in targets(Path(folder)) if asked.only in target.name]
        weights = [next(w for word, w in SHARE.items() if target.name.startswith(word)) for target in chosen]
        for target, weight in zip(chosen, weights, strict=True):
            count = max(1, round(asked.inputs * weight / sum(weights)))
            start = time.process_time()
            outcome = fuzz(target, count, random.Random(f"{asked.seed} {target.name}"))
            found[target.name] = {
                "inputs": count,
                **{word: outcome.counts[word] for word in ("accepted", "refused", "broken")},
                "cpu_seconds": round(time.process_time() - start, 1),
                "slowest_seconds": round(outcome.slowest, 3),
                "rules_broken": outcome.broken,
            }
            print(target.name, {k: v for k, v in found[target.name].items() if k != "rules_broken"}, flush=True)
            for rule, given in outcome.broken[:5]:
                print("   ", rule, "<-", given[:300], flush=True)
    total = {word: sum(row[word] for row in found.values()) for word in ("inputs", "accepted", "refused", "broken")}
    if asked.out:
        write_atomic(
            Path(asked.out), (json.dumps({"seed": asked.seed, **total, "targets": found}, indent=1) + "\n").encode()
        )
    print(total)
    return int(total["broken"] > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
