"""Formulas of the site as MathML: the pages need no script and no network to show them."""

from __future__ import annotations

from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging

from sie_sym.errors import SieSymError
from sie_sym.pages.mathml import mathml

LOGGER = logging.getLogger(__name__)


def _converted(node: nodes.Element) -> str:
    try:
        return mathml(node.astext())
    except SieSymError as error:
        LOGGER.warning("this formula is not shown: %s: %s", error, node.astext()[:80], location=node)
        return ""


def inline(translator: Any, node: nodes.Element) -> None:
    """A formula in a line of text."""
    translator.body.append(_converted(node).replace('display="block"', 'display="inline"'))
    raise nodes.SkipNode


def displayed(translator: Any, node: nodes.Element) -> None:
    """A formula on a line of its own."""
    translator.body.append(f'<div class="formula">{_converted(node)}</div>\n')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the renderer."""
    app.add_html_math_renderer("mathml", inline_renderers=(inline, None), block_renderers=(displayed, None))
    return {"parallel_read_safe": True}
