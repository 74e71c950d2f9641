"""Search: proofs and refutations of Fisher consistency. Untrusted; `theory.checker` has the last word."""

from .dispatch import prove as prove
