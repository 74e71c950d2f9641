"""The trusted kernel: verifies certificates from nothing but themselves.

Imports the standard library, python-flint and `theory.expression` only. `docs/trust.md` says what else
must be trusted. Search (`theory.prover`) uses the same rules and is not trusted: every certificate
passes through `check` again, from its JSON form.
"""

from .certificates import CheckResult as CheckResult
from .certificates import check as check
from .reading import FORMAT as FORMAT
from .reading import PRECISION as PRECISION
from .reading import VERSION as VERSION
from .reading import CertificateError as CertificateError
from .reading import load as load
