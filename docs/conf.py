"""Configuration of the documentation: `make docs` builds it into build/docs/html, every warning an error."""

from __future__ import annotations

import os
import sys
from importlib.metadata import version as version_of
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")  # several threads on a busy machine make the gallery many times slower

DOCS = Path(__file__).resolve().parent
sys.path[:0] = [str(DOCS / "_ext"), str(DOCS / "scripts"), str(DOCS.parent)]

import results  # noqa: E402  (docs/_ext)

project = "avgmargin"
author = "The avgmargin authors"
project_copyright = author
release = version_of("avgmargin")
version = release

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_gallery.gen_gallery", "mathml", "api", "commands"]
exclude_patterns = ["_ext", "_static", "scripts", "results", "gallery", "auto_gallery/*.ipynb"]
suppress_warnings = ["toc.empty_glob"]  # pages on training may not be there yet
nitpicky = False
language = "en"

# -- Markdown: $...$ for formulas, {{ name }} for what is computed from docs/results at build time -------------------
myst_enable_extensions = ["dollarmath", "substitution"]
myst_heading_anchors = 4
myst_substitutions = results.substitutions(DOCS / "results")
myst_dmath_double_inline = True

# -- API: signatures with types as written; docstrings as they are typed (docs/_ext/api.py) --------------------------
autodoc_typehints = "signature"
autodoc_type_aliases = dict.fromkeys(("ArrayLike", "npt.ArrayLike"), "ArrayLike")
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
add_module_names = False
python_maximum_signature_line_length = 88


# -- gallery: every file is run; the picture is the figure that it leaves in the name `figure` -----------------------
sphinx_gallery_conf = {
    "examples_dirs": ["gallery"],
    "gallery_dirs": ["auto_gallery"],
    "filename_pattern": r"plot_",
    "image_scrapers": ["gallery_figures.scrape"],
    "reset_modules": (),
    "abort_on_example_error": True,
    "capture_repr": (),  # a last line's `<Legend object at 0x...>` says nothing, and differs from build to build
    "write_computation_times": False,
    "download_all_examples": False,
    "show_signature": False,
    "remove_config_comments": True,
    "notebook_extensions": set(),
    "min_reported_time": 1e9,
}

# -- HTML: nothing is loaded from anywhere else ----------------------------------------------------------------------
html_theme = "furo"
html_title = f"avgmargin {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_math_renderer = "mathml"
html_show_sphinx = False
html_copy_source = False
html_show_sourcelink = False
pygments_style = "default"
