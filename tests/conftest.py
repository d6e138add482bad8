"""Tools that tests share: LaTeX and KaTeX to judge exported formulas, Chromium to look at a report.

A tool that is not installed skips its tests, and says how to get it; with SIE_SYM_CI=1 it fails them instead.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

import hypothesis
import pytest

ROOT = Path(__file__).resolve().parent.parent

# A shared machine is slow now and then: no deadline per example.  CI repeats the same examples every time.
hypothesis.settings.register_profile("at-hand", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("ci" if os.environ.get("SIE_SYM_CI") == "1" else "at-hand")

# Figures are drawn without a screen.
os.environ.setdefault("MPLBACKEND", "Agg")

_KATEX_SCRIPT = r"""
const katex = require(process.argv[1]);
const formulas = JSON.parse(require("fs").readFileSync(0, "utf8"));
const errors = [];
for (const formula of formulas) {
  // Refusing trust is trust: false, which alone would print an untrusted command in red and go on.
  const trust = (context) => { errors.push(`${formula}: untrusted ${context.command}`); return false; };
  try {
    katex.renderToString(formula, {strict: "error", throwOnError: true, displayMode: true, trust});
  } catch (error) {
    errors.push(`${formula}: ${error.message}`);
  }
}
console.log(JSON.stringify(errors));
"""


def unavailable(tool: str, remedy: str) -> NoReturn:
    """Skip the test that needs `tool`, or fail it where everything must be installed (SIE_SYM_CI=1)."""
    message = f"{tool} is not installed: {remedy}"
    if os.environ.get("SIE_SYM_CI") == "1":
        pytest.fail(message, pytrace=False)
    pytest.skip(message)


def find_tool(names: Sequence[str], remedy: str) -> str:
    """The path of the first of some programs that is installed; `unavailable` if none is."""
    return next(filter(None, map(shutil.which, names)), None) or unavailable(names[0], remedy)


@pytest.fixture(scope="session")
def tracked_files() -> list[Path]:
    """The files of the project that git knows."""
    git = find_tool(["git"], "apt-get install git")
    listing = subprocess.run([git, "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listing.returncode != 0:
        unavailable("a git checkout", f"git ls-files says {listing.stderr.strip()!r}")
    return [path for name in listing.stdout.split("\0") if name and (path := ROOT / name).is_file()]


@pytest.fixture(scope="session")
def katex() -> Callable[[Sequence[str]], list[str]]:
    """`katex(formulas)`: what KaTeX, at its strictest, finds wrong with them: [] if nothing."""
    node = find_tool(["node"], "apt-get install nodejs npm")
    package = Path(os.environ.get("SIE_SYM_KATEX", ROOT / ".ci/node/node_modules/katex"))
    if not package.is_dir():
        unavailable(f"KaTeX (in {package})", "cd .ci/node && npm install --no-package-lock")

    def check(formulas: Sequence[str]) -> list[str]:
        run = subprocess.run(
            [node, "-e", _KATEX_SCRIPT, str(package)],
            input=json.dumps(list(formulas)),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert run.returncode == 0, run.stderr
        errors: list[str] = json.loads(run.stdout)
        return errors

    return check


@pytest.fixture
def pdflatex(tmp_path: Path) -> Callable[[str], Path]:
    r"""`pdflatex(source)`: the PDF of a whole document (`\documentclass` to `\end{document}`).

    Raises AssertionError with the end of the log if it does not compile.
    """
    program = find_tool(["pdflatex"], "apt-get install texlive-latex-base")

    def compile_document(source: str) -> Path:
        folder = Path(tempfile.mkdtemp(dir=tmp_path))
        (folder / "document.tex").write_text(source, encoding="utf-8")
        run = subprocess.run(
            [program, "-no-shell-escape", "-interaction=nonstopmode", "-halt-on-error", "document.tex"],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=120,
            check=False,
        )
        assert run.returncode == 0, "pdflatex failed:\n" + "\n".join(run.stdout.splitlines()[-25:])
        pdf = folder / "document.pdf"
        assert pdf.is_file(), "pdflatex made no page:\n" + run.stdout[-1000:]
        return pdf

    return compile_document


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a Chromium."""
    return find_tool(["chromium", "chromium-browser", "google-chrome"], "apt-get install chromium")


def hear_ctrl_c() -> None:
    """For `preexec_fn`: a suite started in the background ignores SIGINT, and so would its children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
