"""How Sphinx builds the documentation site: `make docs`."""

from __future__ import annotations

import sys
from pathlib import Path

from lstm_adversarial_attack import __version__

sys.path.insert(0, str(Path(__file__).parent / "extension"))

project = "lstm-adversarial-attack"
author = "The lstm-adversarial-attack authors"
project_copyright = f"2026, {author}"
version = release = __version__
language = "en"
smartquotes = False  # it would make a dash of the -- of options

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "contracts", "mathml", "reachable"]
exclude_patterns = ["extension"]

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3

# Docstrings set names between single backquotes.
default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
napoleon_use_ivar = True
napoleon_use_rtype = False

nitpicky = True
# Names of other libraries, whose documentation no build may fetch, and short names for types of this package.
nitpick_ignore_regex = [
    (r"py:.*", r"(torch|Tensor|nn|np|npt|numpy|pl|polars|msgspec|pathlib|collections)\b.*"),
    (r"py:.*", r"(lstm_adversarial_attack\.)?([a-z_]+\.)*(Path|Any|Callable|Sequence|Mapping|Kind|Size|T|ArrayLike)"),
    # What only methods of attack, or other types named here, are handed.
    (r"py:.*", r"lstm_adversarial_attack\.attack\.(problem\.Problem|keeper\.Keeper)"),
    (r"py:.*", r"lstm_adversarial_attack\.(progress|models\.lstm|artifacts\.contents|sources|tracking)\..*"),
]

html_theme = "furo"
html_title = project
html_static_path = ["static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_copy_source = False
html_show_sourcelink = False
html_math_renderer = "mathml"
