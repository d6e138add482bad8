r"""The formula inside of a pasted LaTeX display: delimiters, comment lines, `g(z) =` and the alignment of long sums.

What is not formula is overwritten by blanks, so that columns in messages stay those of the text given.
"""

from __future__ import annotations

import re

_COMMENT = re.compile(r"^[ \t]*%[^\n]*$", re.MULTILINE)
_DELIMITERS = (("$$", "$$"), ("$", "$"), (r"\(", r"\)"), (r"\[", r"\]"))
_ALIGNED = re.compile(r"\s*\\begin\{(aligned|align\*?|split)\}(?P<body>.*)\\end\{\1\}[\s.]*", re.DOTALL)
_ALIGNMENT = re.compile(r"\\\\|\{\}|&")
_LEFT_SIDE = re.compile(
    r"\s*(?:[gfhy]|\\(?:var)?phi)(?:\s*(?:\\left)?\((?:z|\\(?:mathbf|boldsymbol)\{z\})(?:[_^]\{?\\(?:star|ast)\}?)?"
    r"(?:\\right)?\))?\s*="
)


def formula_part(text: str) -> str:
    r"""The text with everything around its one formula blanked.

    >>> formula_part("\\[ g(z) = z_1 \\]").strip()
    'z_1'
    """
    text = _COMMENT.sub(_blank, text)
    start, end = len(text) - len(text.lstrip()), len(text.rstrip())
    for opening, closing in _DELIMITERS:
        inside = start + len(opening), end - len(closing)
        if text.startswith(opening, start) and text.endswith(closing, inside[0], end):
            text = " " * inside[0] + text[inside[0] : inside[1]]
            break
    aligned = _ALIGNED.fullmatch(text)
    # The & and \\ of a matrix are its own.
    if aligned and r"\begin" not in aligned["body"]:
        text = " " * aligned.start("body") + _ALIGNMENT.sub(_blank, aligned["body"])
    return _LEFT_SIDE.sub(_blank, text, count=1) if _LEFT_SIDE.match(text) else text


def _blank(match: re.Match[str]) -> str:
    return " " * len(match.group())


__all__ = ["formula_part"]
