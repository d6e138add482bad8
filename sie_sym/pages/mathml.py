r"""The LaTeX of the results as MathML, which browsers lay out without any script or font of the page.

`latex2mathml` (an extra: `pip install 'sie-sym[report]'`) does the conversion.  What it cannot say and this project
writes is put in other words first (`aligned`, texts with escaped characters), and what it writes in a way that browsers
ignore (alignment of columns, weights) is put into classes.  It never refuses a command that it does not know, so that
traces of one in its answer are looked for here: a formula is converted whole or not at all.
"""

from __future__ import annotations

import html
import re
from xml.etree.ElementTree import Element, tostring

from sie_sym.errors import MissingExtra, SieSymError
from sie_sym.typesetting.latex_printer import plain_text

LONGEST = 40_000
"""Characters of LaTeX beyond which nobody reads a formula."""

_TEXT = re.compile(
    r"\\text\{((?:[^{}\\$]|\\[{}$#%&_]|\\text(?:backslash|asciicircum|asciitilde|less|greater|bar)\{\}"
    r"|\$\\(?:to|leftarrow|ge|le|ne)\$)*)\}"
)
_FENCES = ("\u27e8", "\u27e9", "\u2016", "|")
"""Angle brackets and bars."""


def require_latex2mathml() -> None:
    """Raise `MissingExtra` without latex2mathml."""
    try:
        import latex2mathml.converter  # noqa: F401
    except ImportError:
        raise MissingExtra("report", "latex2mathml") from None


def mathml(formula: str) -> str:
    r"""A displayed formula (LaTeX without delimiters) as one `<math>` element.

    Raises `SieSymError`, naming what resists, where it cannot be converted faithfully, and `MissingExtra` without
    latex2mathml.

    >>> mathml("R(m) = 7 - 4 m^{2}").count("<mn>")
    3
    """
    require_latex2mathml()
    from latex2mathml.converter import Converter

    if len(formula) > LONGEST:
        raise SieSymError(f"it has {len(formula)} characters, more than the {LONGEST} that are laid out")
    texts: list[str] = []

    def placeholder(match: re.Match[str]) -> str:
        texts.append(plain_text(match[1]))
        return rf"\text{{TEXT{len(texts) - 1}X}}"

    source = _TEXT.sub(placeholder, formula)
    source = source.replace(r"\begin{aligned}", r"\begin{array}{rl}").replace(r"\end{aligned}", r"\end{array}")
    _require_balanced(source)
    try:
        tree = Converter(display="block").convert_to_element(source)
    except Exception as error:  # each of its parsers has its own way to say no
        raise SieSymError(f"the converter to MathML refuses it ({type(error).__name__})") from None
    for element in list(tree.iter()):
        _write_plainly(element, texts)
    _join_letters(tree)
    _space_functions(tree)
    tree.attrib.pop("xmlns", None)  # in HTML the element's name is enough
    return tostring(tree, encoding="unicode")


def _require_balanced(source: str) -> None:
    depth = 0
    for brace in re.findall(r"(?<!\\)(?:\\\\)*([{}])", source):
        depth += 1 if brace == "{" else -1
        if depth < 0:
            break
    if depth:
        raise SieSymError("its braces are not balanced")


def _write_plainly(element: Element, texts: list[str]) -> None:
    """One element of the answer in the words that browsers know; raises `SieSymError` for what was not understood."""
    text = html.unescape(element.text or "")
    if match := re.fullmatch(r"TEXT(\d+)X", text):
        # A browser drops blanks at the ends of a text.
        element.text = re.sub(r"^ | $", "\u00a0", texts[int(match[1])])
        return
    if "\\" in text or (element.tag == "mi" and text in ("&", "{", "}")) or element.get("linebreak"):
        raise SieSymError(f"the converter to MathML does not know {text or 'a line break'!r}")
    element.text = text or None
    if align := element.attrib.pop("columnalign", None):
        element.set("class", align)
    if element.get("mathvariant") == "bold":
        del element.attrib["mathvariant"]
        element.set("class", "bold")
    if element.tag == "mtable" and any(cell.get("columnalign") == "right" for cell in element.iter("mtd")):
        element.set("displaystyle", "true")
    if text in _FENCES and element.get("stretchy") is None:
        # Those of \\left and \\right stretch; by themselves all would.
        element.tag = "mo"
        element.set("stretchy", "false")
    elif element.tag == "mo" and len(text) > 1 and text.isalpha():
        element.tag = "mi"  # a function's name
    elif text == ":":
        element.tag = "mo"
        element.attrib |= {"lspace": "0.28em", "rspace": "0.28em"}
    elif element.tag == "mi" and "\u0391" <= text <= "\u03a9":
        element.set("mathvariant", "normal")  # capital Greek, which browsers would slant


def _join_letters(parent: Element) -> None:
    """The letters of an upright word as one name."""
    previous: Element | None = None
    for child in list(parent):
        _join_letters(child)
        upright = child.tag == "mi" and child.get("mathvariant") == "normal"
        if upright and previous is not None:
            previous.text = (previous.text or "") + (child.text or "")
            parent.remove(child)
        else:
            previous = child if upright and parent.tag in ("mrow", "mtd", "math") else None


def _space_functions(parent: Element) -> None:
    """A thin space between the name of a function and a letter or number beside it, as in d log d."""
    for child in list(parent):
        _space_functions(child)
    if parent.tag not in ("mrow", "mtd"):
        return
    children = list(parent)
    for position in range(len(children) - 1, 0, -1):
        before, after = children[position - 1], children[position]
        if _is_function(before) != _is_function(after) and all(map(_is_ordinary, (before, after))):
            parent.insert(position, Element("mspace", {"width": "0.17em"}))


def _base(element: Element) -> Element:
    return _base(element[0]) if element.tag in ("msub", "msup", "msubsup", "munder") else element


def _is_function(element: Element) -> bool:
    base = _base(element)
    text = base.text or ""
    return base.tag == "mi" and len(text) > 1 and text.isascii() and base.get("mathvariant") is None


def _is_ordinary(element: Element) -> bool:
    base = _base(element)
    return base.tag in ("mi", "mn", "mfrac", "msqrt")


__all__ = ["LONGEST", "mathml", "require_latex2mathml"]
