"""The documentation: its examples run and must succeed, and what was built says what the ledger says."""

from __future__ import annotations

import html
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from conftest import ROOT, unavailable

import sie_sym
from sie_sym.cli import main

Katex = Callable[[Sequence[str]], list[str]]
Pdflatex = Callable[[str], Path]

DOCS = ROOT / "docs"
BUILT = DOCS / "_build" / "html"

CONFIGURATION = f"""
import sys
sys.path[:0] = [{str(DOCS / "extensions")!r}]
extensions = ["myst_parser", "executed", "mathml_renderer"]
html_math_renderer = "mathml"
project = "trial"
myst_enable_extensions = ["dollarmath"]
"""


@pytest.fixture
def build(tmp_path: Path) -> Callable[[str], tuple[int, str, str]]:
    """`build(page)`: exit code, messages and HTML of a site of one page, warnings being errors."""
    for module in ("sphinx", "myst_parser", "latex2mathml"):
        if subprocess.run([sys.executable, "-c", f"import {module}"], capture_output=True, check=False).returncode:
            unavailable(module, "pip install -e '.[docs]'")

    def run(page: str) -> tuple[int, str, str]:
        (tmp_path / "conf.py").write_text(CONFIGURATION)
        (tmp_path / "index.md").write_text(f"# Trial\n\n{page}\n")
        command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", ".", "_build/html"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
        page_file = tmp_path / "_build/html/index.html"
        text = page_file.read_text(encoding="utf-8") if page_file.is_file() else ""
        return done.returncode, done.stderr, html.unescape(re.sub("<[^>]*>", "", text))

    return run


Build = Callable[[str], tuple[int, str, str]]


@pytest.mark.slow
def test_examples_show_what_they_print(build: Build) -> None:
    page = """
```{run}
$ echo one; sie-sym sie -g "z1*z2" --json | cut -c1-6
$ echo two > made.txt
```

```{run}
:exit: 3
$ cat made.txt; exit 3
```

```{python}
x = 6
for k in range(2):
    print(k)
x * 7
```

And $\\frac{1}{2}$.
"""
    code, messages, text = build(page)
    assert (code, messages) == (0, "")
    assert 'one\n{"sie"\n$ echo two > made.txt' in text
    assert "$ cat made.txt; exit 3\ntwo\n" in text
    assert ">>> for k in range(2):\n...     print(k)\n0\n1\n>>> x * 7\n42" in text


@pytest.mark.slow
def test_a_page_with_examples_that_fail_is_not_built(build: Build) -> None:
    failing = {
        "```{run}\n$ echo before; exit 4\n```": "exited with 4, not 0: before",
        "```{run}\n:exit: 1\n$ true\n```": "exited with 0, not 1",
        "```{run}\nno dollar\n```": "starts with a dollar",
        "```{run}\n$ pwd\n```": "names a path of this machine",
        "```{run}\n:image: none.png\n$ true\n```": "made no file none.png",
        "```{python}\n1/0\n```": "raised ZeroDivisionError",
        "A formula $\\nosuchcommand{1}$.": "this formula is not shown",
    }
    code, messages, _ = build("\n\n".join(failing))
    assert code != 0
    assert [reason for reason in failing.values() if reason not in messages] == []


def test_every_page_is_in_the_table_of_contents() -> None:
    listed = re.search(r"```\{toctree\}(.*?)```", (DOCS / "index.md").read_text(), re.DOTALL)
    assert listed
    pages = {path.stem for path in DOCS.glob("*.md")} - {"index", "benchmarks"}
    assert pages <= set(listed[1].split())


# ---- what `make docs` has left -------------------------------------------------------------------


def built(name: str) -> str:
    path = BUILT / name
    if not path.is_file():
        unavailable(f"docs/_build/html/{name}", "make docs")
    return path.read_text(encoding="utf-8")


def test_the_built_ledger_is_latex(katex: Katex, pdflatex: Pdflatex) -> None:
    document = built("ledger.tex")
    assert "as declared." in document
    assert pdflatex(document).read_bytes().startswith(b"%PDF")
    displayed = re.findall(r"\\\[\n(.*?)\n\\\]", document, flags=re.DOTALL)
    inline = re.findall(r"(?<!\\)\$(.+?)(?<!\\)\$", document)
    assert len(displayed) >= 20
    assert len(inline) >= 200
    assert katex(sorted({*displayed, *inline})) == []


def test_the_built_pages_name_no_machine() -> None:
    built("index.html")
    for path in [*BUILT.glob("*.html"), *BUILT.glob("*.js"), BUILT / "ledger.tex"]:
        text = path.read_text(encoding="utf-8")
        for place in (str(ROOT), sys.prefix, str(Path.home())):
            assert place == "/" or place not in text, f"{path.name} names {place}"


def test_the_built_reference_is_whole() -> None:
    text = built("api.html")
    assert [name for name in sie_sym.__all__ if name != "__version__" and f'id="sie_sym.{name}"' not in text] == []
    commands = built("cli.html")
    assert [name for name in main.commands if f'id="sie-sym-{name}"' not in commands] == []


def test_the_built_gallery_shows_its_figures() -> None:
    text = built("gallery.html")
    before = (BUILT / "gallery.html").stat().st_mtime  # a later figure waits for the next build
    kept = {path.stem for path in (DOCS / "figures").glob("*.png") if path.stat().st_mtime < before}
    shown = kept | {"figure_1", "figure_2", "figure_4"}
    assert [name for name in sorted(shown) if f"_images/{name}.png" not in text] == []
    assert text.count("verdict proved") >= 30
    assert "<math" in text
