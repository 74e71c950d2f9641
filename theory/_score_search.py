"""The float search behind `theory.searching`: posteriors drawn, scores improved, the nearest miss reported."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .expression.arrays import Array

ScoreLoss = Callable[[Array, NDArray[np.intp]], ArrayLike]

_NOISE_ULPS = 64
"""Rounding of a float risk in units of its precision: a sum of c values, each good to some units in the last place."""
_CLOSE, _ROUNDS = 24, 2
"""How many posteriors, at least, are searched closely, and how often from each other's best scores."""
_ROWS = 400_000
"""Rows of scores that one call of the loss gets at most."""


@dataclass(frozen=True)
class SearchReport:
    """What a search did and the posterior nearest to a failure.

    `seen` whether a failure was seen; `p` that posterior: of the clearest failure, else of the smallest gap; `scores`
    the best scores found there with the wrong class `wrong_class` on top, `wrong_risk` the risk there;
    `correct_scores`, `correct_risk` the same for scores whose top is right by `lead`. `margin` = correct_risk -
    wrong_risk: positive at a failure, and minus the gap otherwise. `noise` the float noise that a margin has to exceed;
    `failures` and `unresolved` count posteriors with a margin above it and within it; `failing` holds up to 20 of the
    former, the largest margin first. `posteriors`, `starts`, `evaluations` (rows of scores)
    say how far was searched, `span` the bound of the scores.
    """

    seen: bool
    p: tuple[float, ...]
    scores: tuple[float, ...]
    wrong_class: int
    wrong_risk: float
    correct_scores: tuple[float, ...]
    correct_risk: float
    margin: float
    noise: float
    lead: float
    span: float
    posteriors: int
    failures: int
    failing: tuple[tuple[float, ...], ...]
    unresolved: int
    starts: int
    evaluations: int

    @property
    def at_bound(self) -> bool:
        """Whether a best score lies at the bound `span`, so that a wider one may change what is seen."""
        return max(map(abs, (*self.scores, *self.correct_scores))) >= 0.999 * self.span

    def summary(self) -> dict[str, Any]:
        """The report as plain JSON values."""
        plain = {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self).items()}
        return plain | {"failing": [list(p) for p in self.failing]}


# -- posteriors -----------------------------------------------------------------------------------------------------


def draw_posteriors(classes: int, count: int, rng: np.random.Generator) -> Array:
    """Posteriors: simple fractions, inside the simplex, near ties of the two likeliest, on faces; in any order."""
    lattice = _lattice(classes)
    rows = [lattice[rng.permutation(len(lattice))[: count // 4]]]
    inside = rng.dirichlet(np.ones(classes), size=count)
    near = inside.copy()
    order = np.argsort(-near, axis=-1)
    every = np.arange(count)
    mean = (near[every, order[:, 0]] + near[every, order[:, 1]]) / 2
    theta = 10.0 ** rng.uniform(-4, -0.7, size=count)
    near[every, order[:, 0]], near[every, order[:, 1]] = mean * (1 + theta), mean * (1 - theta)
    flat = np.full((count, classes), 1.0) + 10.0 ** rng.uniform(-3, -0.3, size=(count, 1)) * rng.normal(
        size=(count, classes)
    )
    faces = inside.copy()
    for row in faces if classes > 2 else []:
        row[rng.permutation(classes)[: rng.integers(1, classes - 1)]] = 0.0
    for share, part in ((4, near), (8, np.abs(flat)), (8, faces if classes > 2 else near[::-1])):
        rows.append(part[: max(1, count // share)])
    used = sum(map(len, rows))
    rows.append(inside[: max(0, count - used)])
    p = np.concatenate(rows)[:count]
    return np.asarray(p / p.sum(-1, keepdims=True))


def _lattice(classes: int) -> Array:
    """All posteriors with denominator 10 (6 and less for many classes)."""
    size = {2: 20, 3: 10, 4: 8}.get(classes, 6)

    def parts(left: int, slots: int) -> list[list[int]]:
        if slots == 1:
            return [[left]]
        return [[k, *rest] for k in range(left + 1) for rest in parts(left - k, slots - 1)]

    points = np.array(parts(size, classes), dtype=np.float64) / size
    return np.asarray(points[(points < points.max(-1, keepdims=True)).any(-1)])


@dataclass(frozen=True)
class _Effort:
    """A pattern search: step lengths from `first` to `last`, at most `steps` of them, `drawn` random directions."""

    first: float
    last: float
    steps: int
    grow: float
    shrink: float
    drawn: int


_COARSE = _Effort(1.0, 1e-4, 40, 1.5, 0.4, 0)
_FINE = _Effort(0.3, 1e-10, 150, 2.0, 0.6, 8)
"""Random directions lead out of the corners at kinks in which a fixed pattern stays."""


def _margins(risks: Array, right: NDArray[np.bool_], classes: int) -> Array:
    """Least risk with a right class on top minus that with a wrong one, per posterior; 0 where both are infinite."""
    wrong = np.where(right, np.inf, risks).reshape(-1, classes).min(-1)
    good = np.where(right, risks, np.inf).reshape(-1, classes).min(-1)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.nan_to_num(good - wrong, nan=0.0, posinf=np.inf, neginf=-np.inf))


# -- scores ---------------------------------------------------------------------------------------------------------


class ScoreSearch:
    """The search for one loss."""

    def __init__(
        self, loss: ScoreLoss, classes: int, rng: np.random.Generator, starts: int, span: float, sum_zero: bool
    ) -> None:
        self.loss, self.classes, self.rng, self.starts = loss, classes, rng, starts
        self.span, self.sum_zero = span, sum_zero
        self.evaluations = 0
        self.precision = float(np.finfo(float).eps)
        at_zero = self.values(np.zeros((1, classes)), strict=True)
        if not np.isfinite(at_zero).all():
            raise ValueError(f"loss must be finite at the scores 0; it is {at_zero[0].tolist()}")
        self.lead = float(np.sqrt(self.precision))

    def values(self, scores: Array, strict: bool = False) -> Array:
        """The loss of every label: (n, c) scores to (n, c); NaN counts as +inf."""
        n, c = scores.shape
        out = np.empty((n, c))
        chunk = max(1, _ROWS // c)
        for begin in range(0, n, chunk):
            part = scores[begin : begin + chunk]
            labels = np.tile(np.arange(c, dtype=np.intp), len(part))
            with np.errstate(all="ignore"):
                found = np.asarray(self.loss(np.repeat(part, c, axis=0), labels))
            if found.shape != labels.shape:
                raise ValueError(
                    f"loss must return one value per row, shape {labels.shape}; it has shape {found.shape} "
                    "(a mean over the batch cannot be searched)"
                )
            if strict and np.issubdtype(found.dtype, np.floating):
                self.precision = float(np.finfo(found.dtype).eps)
            out[begin : begin + chunk] = found.reshape(len(part), c)
        self.evaluations += n * c
        return np.where(np.isnan(out), np.inf, out)

    def risk(self, p: Array, losses: Array) -> Array:
        """C_p of losses (..., c); a label that never occurs costs nothing."""
        with np.errstate(all="ignore"):
            value = np.where(p > 0, p * losses, 0.0).sum(-1)
        return np.where(np.isfinite(value), value, np.inf)

    def allowed(self, scores: Array, p: Array, top: NDArray[np.intp]) -> Array:
        """The scores moved into their region: `top` raised to the top, and above the wrong classes if it is right."""
        f = scores - scores.mean(-1, keepdims=True) if self.sum_zero else scores
        f = np.clip(f, -self.span, self.span)
        best = p.max(-1, keepdims=True)
        own = np.arange(self.classes) == top[..., None]
        right = np.broadcast_to((p < best), f.shape) & (np.take_along_axis(p, top[..., None], -1) == best)
        rivals = np.where(own, -np.inf, f + np.where(right, self.lead, 0.0)).max(-1, keepdims=True)
        f = np.where(own, np.maximum(f, rivals), f)
        if self.sum_zero:
            f = f - f.mean(-1, keepdims=True)
        else:  # the lead may have left the box by a hair: shift nothing, lower the rivals instead
            f = np.where(own, np.minimum(f, self.span), np.minimum(f, self.span - np.where(right, self.lead, 0.0)))
        return np.asarray(f)

    def pool(self) -> Array:
        """Scores of all sizes, ties and far ends among them."""
        c = self.classes
        parts = [np.zeros((1, c))]
        for size in (0.03, 0.3, 1.0, 2.0, 5.0, self.span):
            drawn = self.rng.normal(scale=size, size=(250, c))
            tied = drawn.copy()
            pair = self.rng.permuted(np.tile(np.arange(c), (250, 1)), axis=1)[:, :2]
            tied[np.arange(250), pair[:, 0]] = tied[np.arange(250), pair[:, 1]]
            parts += [drawn, tied]
        corners = np.array(np.meshgrid(*[[-1.0, 0.0, 1.0]] * c)).reshape(c, -1).T if c <= 5 else np.eye(c)
        parts += [size * corners for size in (0.1, 1.0, 3.0, self.span)]
        return np.clip(np.concatenate(parts), -self.span, self.span)

    def moves(self) -> Array:
        """Directions: each score, each difference, each block of scores, both ways."""
        c, units = self.classes, np.eye(self.classes)
        pairs = [units[i] - units[j] for i in range(c) for j in range(i)]
        blocks = [[(mask >> k) & 1 for k in range(c)] for mask in range(1, 2**c - 1)] if c <= 4 else []
        moves = np.array([*units, *pairs, *blocks], dtype=np.float64)
        return np.unique(np.concatenate([moves, -moves]), axis=0)

    def run(self, p: Array) -> SearchReport:
        """A coarse search at every posterior, a close one where it came nearest to failing; and the nearest of all."""
        m, c = p.shape
        rows, tops = np.nonzero(np.ones_like(p))  # every class on top once per posterior
        start = self.begin(p[rows], tops, self.pool())
        risks, scores = self.improve(p[rows], tops, start, _COARSE)
        right = (p == p.max(-1, keepdims=True)).ravel()
        close = np.argsort(-_margins(risks, right, c), kind="stable")[: max(_CLOSE, m // 4)]
        for _ in range(_ROUNDS):
            keep = np.isin(rows, close)
            every = scores.reshape(m, c, c)[rows[keep]]  # from the best scores of all classes on top
            every = self.allowed_everywhere(every, p[rows[keep]], tops[keep])
            risks[keep], scores[keep] = self.improve(p[rows[keep]], tops[keep], every, _FINE)
        return self.report(p, risks.reshape(m, c), scores.reshape(m, c, c), right.reshape(m, c))

    def report(self, p: Array, risks: Array, scores: Array, right: NDArray[np.bool_]) -> SearchReport:
        """The margins, and the posterior nearest to failing."""
        wrong_all, right_all = np.where(right, np.inf, risks), np.where(right, risks, np.inf)
        j, b = wrong_all.argmin(-1), right_all.argmin(-1)
        every = np.arange(len(p))
        wrong = wrong_all[every, j]
        margin = _margins(risks.ravel(), right.ravel(), p.shape[-1])
        noise = _NOISE_ULPS * self.precision * np.maximum(1.0, np.where(np.isfinite(wrong), np.abs(wrong), 1.0))
        failures, unresolved = margin > noise, np.abs(margin) <= noise
        shown = np.where(unresolved, -np.inf, margin) if not unresolved.all() else margin
        i = int(shown.argmax())
        return SearchReport(
            seen=bool(failures.any()),
            p=tuple(map(float, p[i])),
            scores=tuple(map(float, scores[i, j[i]])),
            wrong_class=int(j[i]),
            wrong_risk=float(wrong[i]),
            correct_scores=tuple(map(float, scores[i, b[i]])),
            correct_risk=float(right_all[i, b[i]]),
            margin=float(margin[i]),
            noise=float(noise[i]),
            lead=self.lead,
            span=self.span,
            posteriors=len(p),
            failures=int(failures.sum()),
            failing=tuple(tuple(map(float, p[k])) for k in np.argsort(-margin, kind="stable")[:20] if failures[k]),
            unresolved=int(unresolved.sum()),
            starts=self.starts,
            evaluations=self.evaluations,
        )

    def improve(self, p: Array, top: NDArray[np.intp], begin: Array, effort: _Effort) -> tuple[Array, Array]:
        """The least risk found with class `top` on top, and the scores, per row of p; `begin` (rows, starts, c)."""
        p, top = np.repeat(p, begin.shape[1], axis=0), np.repeat(top, begin.shape[1])
        scores = begin.reshape(-1, self.classes).copy()
        value = self.risk(p, self.values(scores))
        step = np.full(len(scores), effort.first)
        moves = self.moves()
        for _ in range(effort.steps):
            live = np.flatnonzero(step > effort.last)
            if not live.size:
                break
            drawn = self.rng.normal(size=(effort.drawn, self.classes))
            trial = scores[live, None, :] + step[live, None, None] * np.concatenate([moves, drawn])
            trial = np.concatenate([trial, _merged(scores[live])], axis=1)
            many = np.broadcast_to(p[live, None, :], trial.shape)
            trial = self.allowed(trial, many, np.broadcast_to(top[live, None], trial.shape[:2]))
            found = self.risk(many, self.values(trial.reshape(-1, self.classes)).reshape(trial.shape))
            place = found.argmin(-1)
            rows = np.arange(live.size)
            better = found[rows, place] < value[live]
            scores[live[better]] = trial[rows, place][better]
            value[live[better]] = found[rows, place][better]
            step[live] *= np.where(better, effort.grow, effort.shrink)
        table = value.reshape(-1, begin.shape[1])
        chosen = table.argmin(-1)
        every = np.arange(len(table))
        return table[every, chosen], scores.reshape(*begin.shape)[every, chosen]

    def allowed_everywhere(self, scores: Array, p: Array, top: NDArray[np.intp]) -> Array:
        """`allowed` for several scores (rows, starts, c) per row of p."""
        return self.allowed(
            scores, np.broadcast_to(p[:, None], scores.shape), np.broadcast_to(top[:, None], scores.shape[:2])
        )

    def begin(self, p: Array, top: NDArray[np.intp], pool: Array) -> Array:
        """The starting scores of each row: log-posteriors, 0, and the best of the pool in the row's region."""
        losses = self.values(pool)
        on_top = pool >= pool.max(-1, keepdims=True)
        picked = []
        for row, k in zip(p, top, strict=True):
            good = np.where(on_top[:, k], self.risk(row, losses), np.inf)
            picked.append(pool[np.argsort(good, kind="stable")[: self.starts]])
        with np.errstate(divide="ignore"):
            logs = np.maximum(np.log(p), -self.span)
        chosen = np.concatenate(
            [np.array(picked), (logs - logs.mean(-1, keepdims=True))[:, None], logs[:, None] * 0], axis=1
        )
        return self.allowed_everywhere(chosen, p, top)


def _merged(scores: Array) -> Array:
    """Each vector with one pair of scores set equal to their mean: (n, c) to (n, c (c - 1) / 2, c)."""
    c = scores.shape[-1]
    pairs = [(i, j) for i in range(c) for j in range(i)]
    merged = np.repeat(scores[:, None, :], len(pairs), axis=1)
    for k, (i, j) in enumerate(pairs):
        merged[:, k, i] = merged[:, k, j] = (scores[:, i] + scores[:, j]) / 2
    return merged
