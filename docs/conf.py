"""How the documentation is built: `make docs` runs every example, derivation and quick figure that it shows."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "extensions"), str(HERE.parent)]

from importlib.metadata import version as installed_version  # noqa: E402

project = "sie-sym"
author = "the authors of sie-sym"
release = installed_version("sie-sym")
extensions = ["myst_parser", "sphinx.ext.autodoc", "executed", "gallery", "reference", "mathml_renderer"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
myst_heading_anchors = 3
myst_enable_extensions = ["dollarmath"]
nitpicky = False

html_theme = "alabaster"
html_theme_options = {
    "description": "Symbolic derivations for sequence single-index models and single-layer attention",
    "page_width": "1080px",
    "sidebar_width": "230px",
}
html_sidebars = {"**": ["about.html", "searchfield.html", "navigation.html"]}
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_math_renderer = "mathml"
html_copy_source = False
html_show_sourcelink = False
pygments_style = "default"

autodoc_member_order = "bysource"
autodoc_typehints = "description"
