"""Search: proofs and refutations of Fisher consistency. Untrusted; `theory.checker` has the last word."""

from .dispatch import prove as prove
from .dispatch import prove_family as prove_family
from .families import lemma_verdict as lemma_verdict
from .gap import GapBound as GapBound
from .gap import multiclass_gap as multiclass_gap
