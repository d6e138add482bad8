"""Reports: formulas as MathML, pages that need nothing else, and what a browser makes of them."""

from __future__ import annotations

import html
import json
import math
import os
import re
import shlex
import subprocess
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from browser import Browser, browser
from click.testing import CliRunner
from conftest import ROOT, find_tool, unavailable

from sie_sym.cli import main
from sie_sym.errors import MissingExtra, SieSymError
from sie_sym.evidence import Evidence
from sie_sym.exponents import information_exponent
from sie_sym.latex import typeset
from sie_sym.model import linear_attention
from sie_sym.pages.mathml import LONGEST, mathml
from sie_sym.parse import parse_formula
from sie_sym.phase_regions import phase_line
from sie_sym.population_loss import population_loss
from sie_sym.report import Drawing, Formula, Page, Section, Table, missing, report, section
from sie_sym.target import Target
from sie_sym.typesetting.latex_printer import as_text, plain_text

for extra in ("matplotlib", "jinja2", "latex2mathml"):
    pytest.importorskip(extra)

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\" onload='x' & {{ 7 * 7 }}"
PAIR = ("--model", "linear-attention", "-g", "He(2,z1) + He(2,z2)")
ENCODED = (*PAIR, "--encoding", "1,1/2")


# ---- MathML ------------------------------------------------------------------------------------


def text_of(element: str) -> str:
    tree = ElementTree.fromstring(element)
    for parent in list(tree.iter()):
        for child in list(parent):
            if child.tag.endswith("annotation"):
                parent.remove(child)
    return "".join(tree.itertext())


def formulas() -> Iterator[str]:
    """The LaTeX of results of every kind, with texts, tables, matrices, integrals and long sums among them."""
    texts = [
        "He(2,z1) + He(2,z2)",
        "relu(z1)*z2 + a_max*erf(z1/3) + abs(z1 - 1/2)*beta + sign(z2 - c)",
        "He(4,z1) + rate*z2 + Phi(z1) + tanh(z2)^2 + step(z1) + cos(3*z1) + max(z1,z2) + softplus(z1)",
        "z1*prod(l, 2, 5, 1 + z[l])",
        "c*z1 + (1 - c)*He(3,z2)",
    ]
    for text in texts:
        target = Target.of(parse_formula(text))
        yield from typeset(target).formulas
        yield from typeset(information_exponent(target)).formulas
    encoded = linear_attention(2).with_encoding([[1, 2], [0, 1]])
    for found in (encoded, population_loss(Target.of(parse_formula(texts[0])), encoded), phase_line(0.76)):
        yield from typeset(found).formulas


def test_every_formula_is_converted_and_well_formed() -> None:
    everything = list(formulas())
    assert len(everything) > 30
    for formula in everything:
        assert ElementTree.fromstring(mathml(formula)).tag == "math", formula


def test_katex_reads_the_same_in_every_formula() -> None:
    # Another converter, by its MathML: the same characters in the same order, up to their variants.
    node = find_tool(["node"], "apt-get install nodejs npm")
    package = Path(os.environ.get("SIE_SYM_KATEX", ROOT / ".ci/node/node_modules/katex"))
    if not package.is_dir():
        unavailable(f"KaTeX (in {package})", "cd .ci/node && npm install --no-package-lock")
    everything = list(formulas())
    script = (
        "const katex = require(process.argv[1]); const f = JSON.parse(require('fs').readFileSync(0, 'utf8'));"
        "console.log(JSON.stringify(f.map(x => katex.renderToString(x, {output: 'mathml', displayMode: true}))))"
    )
    run = subprocess.run(
        [node, "-e", script, str(package)],
        input=json.dumps(everything), capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    for formula, theirs in zip(everything, json.loads(run.stdout), strict=True):
        match = re.search(r"<math.*</math>", theirs, re.DOTALL)
        assert match, formula
        assert plainly(text_of(mathml(formula))) == plainly(text_of(match[0])), formula


def plainly(text: str) -> str:
    text = "".join(unicodedata.normalize("NFKC", c) for c in text if c.isprintable() and not c.isspace())
    same = {"\u2225": "\u2016", "\u2223": "|", "\u22c5": "\u00b7", "\u223c": "~", "\u200b": ""}
    return "".join(same.get(c, c) for c in text if unicodedata.category(c) != "Cf").replace(" ", "")


@pytest.mark.parametrize(
    ("formula", "shown"),
    [
        (r"\begin{aligned} R ={} & a \\ & {} + b \end{aligned}", "R=a+b"),
        (r"\begin{cases} 1 & \text{a \textless{} b $\ne$ \{0\} a\_1} \end{cases}", "{1a < b != {0} a_1"),
        (r"\mathrm{He}_{2}\left(z_{1}\right)", "He2(z1)"),
        (r"\langle C, D \rangle", "\u27e8C,D\u27e9"),
    ],
)
def test_what_the_converter_cannot_say_is_put_in_other_words(formula: str, shown: str) -> None:
    assert text_of(mathml(formula)) == shown


def test_tables_are_aligned_by_classes_and_words_are_upright() -> None:
    table = mathml(r"\begin{aligned} R ={} & a \\ & {} + b \end{aligned}")
    assert table.count('class="right"') == table.count('class="left"') == 2
    assert "columnalign" not in table
    assert '<mi mathvariant="normal">He</mi>' in mathml(r"\mathrm{He}_2")
    assert '<mi mathvariant="normal">\u0393</mi>' in mathml(r"\Gamma")
    assert '<mo stretchy="false">\u2016</mo>' in mathml(r"\lVert g \rVert")
    assert '<mi>d</mi><mspace width="0.17em" /><mi>log</mi><mspace' in mathml(r"d \log d")


@pytest.mark.parametrize(
    ("formula", "reason"),
    [
        (r"\unheardof{1}", "does not know '\\\\\\\\unheardof'"),
        (r"\text{a \unheardof b}", "does not know"),
        (r"\frac{1}{2", "braces are not balanced"),
        (r"1}{2", "braces are not balanced"),
        ("a & b", "does not know '&'"),
        (r"a \\ b", "does not know"),
        (r"\begin{aligned} a &= b", "refuses it"),
        ("x + " * LONGEST, "characters, more than"),
    ],
)
def test_a_formula_is_converted_whole_or_not_at_all(formula: str, reason: str) -> None:
    with pytest.raises(SieSymError, match=reason):
        mathml(formula)


def test_markup_in_a_formula_is_text() -> None:
    assert text_of(mathml(rf"\text{{{as_text('<script> & {x}', math=False)}}}")) == "<script> & {x}"
    assert "<script>" not in mathml(r"\text{<script>} a < b")
    assert plain_text(as_text(HOSTILE.replace('"', ""), math=False)) == HOSTILE.replace('"', "")


# ---- pages -------------------------------------------------------------------------------------


class Reader(HTMLParser):
    """The elements of a page, its identifiers, the addresses that it asks for and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.identifiers: Counter[str] = Counter()
        self.addresses: list[str] = []
        self.handlers: list[str] = []
        self.words: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        for name, value in attrs:
            if name == "id":
                self.identifiers[value or ""] += 1
            if name in ("src", "href", "xlink:href", "srcset", "data", "action", "poster"):
                self.addresses.append(value or "")
            if name.startswith("on"):
                self.handlers.append(name)

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())


def check_self_contained(page: str) -> Reader:
    found = Reader(page)
    assert not {"script", "iframe", "object", "embed", "base"} & set(found.tags)
    assert found.handlers == []
    assert [a for a in found.addresses if not re.match(r"#[\w-]+$|data:(image/png;base64,|,$)", a)] == []
    assert {a[1:] for a in found.addresses if a.startswith("#")} <= set(found.identifiers)
    assert [name for name, count in found.identifiers.items() if count > 1] == []
    assert re.findall(r"@import|url\((?!#)", page) == []
    return found


def test_everything_a_user_typed_is_text() -> None:
    parts = Section(
        HOSTILE,
        Evidence.EXACT,
        notes=(HOSTILE,),
        formulas=(Formula(rf"\text{{{as_text(HOSTILE, math=False)}}}"), Formula(HOSTILE)),
        steps=(HOSTILE,),
        tables=(Table((HOSTILE,), ((HOSTILE,), (Formula(HOSTILE),), (Evidence.EXACT,)), HOSTILE, HOSTILE),),
        drawings=(Drawing("<svg></svg>", HOSTILE),),
        conventions=(HOSTILE,),
    )
    page = Page(HOSTILE, (parts, missing("other", HOSTILE)), ((HOSTILE, HOSTILE, None),), HOSTILE).html()
    found = check_self_contained(page)
    assert found.tags["img"] == 0
    assert "alert(1)</script>" not in page
    assert "49" not in found.text  # no template of the user's is run
    assert found.text.count("<script>alert(1)</script>") >= 12


def test_a_formula_that_cannot_be_laid_out_is_given_as_latex() -> None:
    page = Page("t", (Section("s", formulas=(Formula(r"\unheardof{1} < 2"),)),)).html()
    found = check_self_contained(page)
    assert found.tags["math"] == 0
    assert r"given as LaTeX only: the converter to MathML does not know '\\unheardof'" in found.text
    assert r"\unheardof{1} < 2" in found.text


def test_results_become_sections(tmp_path: Path) -> None:
    target = Target.of(parse_formula("He(2,z1) + He(2,z2)"))
    loss = population_loss(target, linear_attention(2))
    found = section(loss)
    assert (found.title, found.evidence) == ("Population loss", Evidence.EXACT)
    path = report([information_exponent(target), loss], tmp_path / "page.html", "two results")
    read = check_self_contained(path.read_text())
    assert read.tags["section"] == 4  # with the conventions and how it was made
    assert "two results" in read.text
    assert r"R(m) = 7 - 4 m^{2}" in read.text
    assert read.text.count("E |g(z*) - phi(z)|^2: squared error without a factor 1/2") == 1


# ---- the command -------------------------------------------------------------------------------


def run(*arguments: str) -> Any:
    result = CliRunner().invoke(main, ["report", *arguments, "--json"])
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    return json.loads(result.stdout)


def refusal(*arguments: str) -> str:
    result = CliRunner().invoke(main, ["report", *arguments])
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    return str(line)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("reports")


@pytest.fixture(scope="module")
def encoded(folder: Path) -> Path:
    path = folder / "encoded.html"
    data = run(*ENCODED, "-o", str(path))
    assert data["file"] == str(path)
    assert [s["missing"] for s in data["sections"]] == [None] * 8
    return path


def test_a_page_has_the_derivation(encoded: Path) -> None:
    # Numbers of theory section 9: R = 4 - 4 m^2 + ((3 eps/2)^4 + 12 (3 eps/2)^2 + 12)/4, H = diag(-8, 27/2).
    found = check_self_contained(encoded.read_text())
    text = found.text
    assert r"R(m, \varepsilon) = \frac{81 \varepsilon^{4}}{64} + \frac{27 \varepsilon^{2}}{4} - 4 m^{2} + 7" in text
    assert r"\begin{pmatrix} -8 & 0 \\ 0 & \frac{27}{2} \end{pmatrix}" in text
    assert "order 1: zero, the function is even under z \u2192 -z" in text
    assert "order 2, semantic, along (1, 0) exact" in text
    # gamma_max = -2 lambda / V(0) = 16/304
    assert "gamma = 0.0526316" in text
    assert found.tags["svg"] == 3
    assert found.tags["details"] >= found.tags["math"] - 8  # all but the cells of tables
    for label in ("exact", "enclosed", "numerical", "undecided"):
        assert label in text


def test_the_recovery_time_is_that_of_the_solved_flow(folder: Path) -> None:
    # R = 7 - 4 m^2: dm/dt = 8 m (1 - m^2), so that m^2/(1 - m^2) grows as exp(16 t).
    path = folder / "plain.html"
    run(*PAIR, "--start", "m=.02", "--recovery", ".5", "-o", str(path))
    match = re.search(r"Weak recovery\s*t = ([\d.]+), from m = 1/50", Reader(path.read_text()).text)
    assert match
    exact = math.log((0.25 / 0.75) / (4e-4 / (1 - 4e-4))) / 16
    assert float(match[1]) == pytest.approx(exact, rel=1e-7)


def test_the_flow_starts_on_the_side_that_is_left(folder: Path) -> None:
    # R = 4 + 4 m leaves m = 0 for negative overlaps only: dm/dt = -4 (1 - m^2).
    path = folder / "side.html"
    run("--model", "z1 + z2", "-g", "-z1 - z2", "-o", str(path))
    match = re.search(r"Weak recovery\s*t = ([\d.]+), from m = -1/100", Reader(path.read_text()).text)
    assert match
    assert float(match[1]) == pytest.approx((math.atanh(0.1) - math.atanh(0.01)) / 4, rel=1e-7)


def test_a_flow_that_recovers_nothing_says_so(folder: Path) -> None:
    # App. E.4: the tied network does not see z1 - z2, R is constant.
    path = folder / "never.html"
    run("--model", "linear-attention", "-g", "z1 - z2", "-o", str(path))
    assert "never: the flow ends at a fixed point, from m = 1/100" in Reader(path.read_text()).text


def test_the_command_on_the_page_makes_it_again(encoded: Path, tmp_path: Path) -> None:
    page = encoded.read_text()
    match = re.search(r"<pre>(sie-sym report .*?)</pre>", page, re.DOTALL)
    assert match
    words = shlex.split(html.unescape(match[1]))
    assert words[:3] == ["sie-sym", "report", "--target"]
    again = tmp_path / "again.html"
    words[words.index("--output") + 1] = str(again)
    assert CliRunner().invoke(main, words[1:]).exit_code == 0
    command = shlex.join(["sie-sym", *words[1:]])
    assert again.read_text() == page.replace(match[1], html.escape(command).replace("&#x27;", "&#39;"))


def test_a_command_with_a_minus_and_a_quote_can_be_pasted(folder: Path) -> None:
    path = folder / "it's <b>.html"
    run("-g", "-z1^2 + a*z2", "--param", "a=1/2", "-o", str(path))
    page = path.read_text()
    check_self_contained(page)
    match = re.search(r"<pre>(sie-sym report .*?)</pre>", page, re.DOTALL)
    assert match
    words = shlex.split(html.unescape(match[1]))
    assert words[2:] == ["--target=-z1^2 + a*z2", "--param", "a=1/2", "--json", "--output", str(path)]


def test_a_target_alone(folder: Path) -> None:
    path = folder / "target.html"
    data = run("-g", "z1*z2 + c*(z1 + 1/3)^2", "-o", str(path))
    assert [s["title"] for s in data["sections"] if s["missing"]] == ["What a model sees"]
    found = check_self_contained(path.read_text())
    assert "Free parameters: c." in found.text
    assert "pass --model" in found.text
    assert found.tags["svg"] == 0


def test_what_needs_numbers_says_so(folder: Path) -> None:
    path = folder / "free.html"
    data = run("--model", "linear-attention", "-g", "c*z1*z2", "-o", str(path))
    (reason,) = [s["missing"] for s in data["sections"] if s["missing"]]
    assert "pass --param c=0.5" in reason
    assert reason in check_self_contained(path.read_text()).text


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        (("--model", "tied", "--activation", "relu", "-g", "sum(l,1,5,He(2,z[l]))"), "5 at equal learning rates"),
        (("--model", "tied", "--activation", "erf", "-g", "@sum"), "order 1, semantic"),
        (("--from-latex", "--model", "z_1 z_2", "-g", r"\frac{z_1 z_2}{2}"), "phi(z) = z_1 z_2"),
        (("--model", "linear-attention", "-g", "z1*z2", "--encoding", "1,0;0,1"), "eps1 = 1/100, eps2 = 1/100"),
        (("--model", "linear-attention", "--inject", "1,0", "-g", "z1 + z2"), "injected"),
    ],
    ids=["relu", "erf", "latex", "two-columns", "injection"],
)
def test_models_and_targets(folder: Path, options: Sequence[str], shown: str) -> None:
    path = folder / "model.html"
    assert not any(s["missing"] for s in run(*options, "-o", str(path))["sections"])
    assert shown in check_self_contained(path.read_text()).text


@pytest.fixture(scope="module")
def softmax(folder: Path) -> Path:
    path = folder / "fig2.html"
    options = ("--model", "softmax-attention", "--reduction", "mean-trace", "-g", "@fig2", "--encoding", "1,-1")
    assert not any(s["missing"] for s in run(*options, "-o", str(path))["sections"])
    return path


@pytest.mark.slow
def test_softmax_attention(softmax: Path) -> None:
    # H_epseps = -0.2953 with the trace over sqrt(L): theory section 9.
    text = check_self_contained(softmax.read_text()).text
    assert "order 2, positional, along (0, 1) enclosed" in text
    assert "-0.2953" in text
    assert "V has no closed form here and is tabulated" in text


@pytest.mark.slow
def test_positional_and_semantic_attention(folder: Path) -> None:
    path = folder / "ps.html"
    values = ("--param", "a=1", "--param", "omega=0.67", "--coefficients", "2")
    run("--model", "softmax-attention", "-g", "@positional-semantic", *values, "--encoding", "1,-1", "-o", str(path))
    text = check_self_contained(path.read_text()).text
    # R(0, 0) = 0.2635041518: theory section 9.
    assert "0.26350415" in text
    assert "come from a table over (m, eps)" in text


UNTIED = ("-g", "z1 - z2", "--model", "untied", "--activation", "identity")


def test_an_untied_network(folder: Path) -> None:
    """R = 3 - sqrt(2) (m1 - m2) and dm_l/dt = +-sqrt(2) (1 - m_l^2): E g^2 = 2, E sigma^2 = 1, c_1 = 1 (Lemma 5)."""
    path = folder / "untied.html"
    sections = run(*UNTIED, "-o", str(path))["sections"]
    assert [s["title"] for s in sections][-2:] == ["Population loss and flow", "Tied against untied network"]
    assert not any(s["missing"] for s in sections)
    page = path.read_text()
    assert "one a token" in check_self_contained(page).text
    assert r"R(m_{1}, m_{2}) = - \sqrt{2} m_{1} + \sqrt{2} m_{2} + 3" in html.unescape(page)
    assert r"\frac{d m_{1}}{dt} = - \sqrt{2} \left(m_{1}^{2} - 1\right)" in html.unescape(page)


# ---- errors ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((*PAIR, "-o", "page.pdf"), "unknown extension '.pdf'; a report is .html or .htm"),
        ((*PAIR, "-o", "nowhere/page.html"), "there is no such folder"),
        ((*PAIR,), "Missing option"),
        ((*PAIR, "--start", "m=2", "-o", "page.html"), "outside the unit ball"),
        ((*PAIR, "--recovery", "2", "-o", "page.html"), "--recovery"),
        (("-g", "z1", "--start", "m=.1", "-o", "page.html"), "needs a model: pass --model"),
        ((*UNTIED, "--encoding", "1,-1", "-o", "page.html"), "--encoding 1,-1 does not apply to --model untied"),
        ((*UNTIED, "--inject", "1,0", "-o", "page.html"), "--inject 1,0 does not apply to --model untied"),
        ((*UNTIED, "--start", "m=.1", "-o", "page.html"), "--start m=.1 does not apply to --model untied"),
        (("-g", "z1", "--model", "untied", "-o", "page.html"), "--activation"),
        (("-g", "z1*(", "-o", "page.html"), "sie-sym:"),
        (("-g", "[[z1],[z2]]", "--model", "linear-attention", "-o", "page.html"), "outputs"),
    ],
)
def test_bad_input_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: Sequence[str], message: str
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert message in refusal(*options)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_report_leaves_the_page_before(encoded: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("before")
    refusal(*PAIR, "--encoding", "1,2,3", "-o", str(page))
    assert page.read_text() == "before"


@pytest.mark.parametrize(
    ("package", "extra"), [("jinja2", "report"), ("latex2mathml.converter", "report"), ("matplotlib", "plot")]
)
def test_a_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str, extra: str) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    said = refusal(*PAIR, "-o", str(tmp_path / "page.html"))
    assert said.startswith(f"sie-sym: {package.partition('.')[0]} is not installed")
    assert said.endswith(f"pip install 'sie-sym[{extra}]'")


def test_without_an_extra_python_says_so_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(MissingExtra, match=r"sie-sym\[report\]"):
        Page("t", ()).html()


def test_the_template_is_installed_with_the_package() -> None:
    assert "report.html" in (ROOT / "setup.cfg").read_text()
    assert (ROOT / "sie_sym" / "report.html").is_file()


# ---- a browser ---------------------------------------------------------------------------------

MISPLACED = """
(() => {
  const box = e => e.getBoundingClientRect();
  const wrong = [];
  for (const e of document.querySelectorAll("math, math mfrac, math msup, math mtable, math mi, math mn"))
    if (e.textContent && (box(e).width < 1 || box(e).height < 1)) wrong.push(`no box: ${e.outerHTML.slice(0, 200)}`);
  for (const e of document.querySelectorAll("math mfrac"))
    if (box(e.children[0]).bottom > box(e.children[1]).top + 1) wrong.push(`no fraction: ${e.textContent}`);
  for (const e of document.querySelectorAll("math msup"))
    if (box(e.children[1]).bottom >= box(e.children[0]).bottom) wrong.push(`not raised: ${e.textContent}`);
  for (const e of document.querySelectorAll("figure svg"))
    if (box(e).width < 200 || box(e).height < 100) wrong.push("a figure is too small to be read");
  const sheet = document.documentElement;
  if (sheet.scrollWidth > sheet.clientWidth) wrong.push(`${sheet.scrollWidth} of ${sheet.clientWidth} pixels`);
  return wrong;
})()
"""


@pytest.fixture(scope="module")
def tab(chromium: str) -> Iterator[Browser]:
    with browser(chromium) as found:
        yield found


def look(tab: Browser, page: Path, width: int) -> None:
    tab.open(page, width)
    assert [a for a in tab.requests if not a.startswith("data:")] == [page.absolute().as_uri()]
    assert tab.complaints == []
    assert tab.evaluate("document.querySelectorAll('math').length") > 10
    assert tab.evaluate(MISPLACED) == []


@pytest.mark.parametrize("width", [400, 1400])
def test_a_browser_lays_a_page_out(tab: Browser, encoded: Path, tmp_path: Path, width: int) -> None:
    look(tab, encoded, width)
    assert tab.evaluate("document.querySelector('details pre').checkVisibility()") is False
    tab.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    assert tab.evaluate("document.querySelector('details pre').checkVisibility()") is True
    assert tab.evaluate(MISPLACED) == []
    picture = tab.screenshot(tmp_path / "page.png").read_bytes()
    assert int.from_bytes(picture[16:20]) == width
    assert int.from_bytes(picture[20:24]) > 3000
    assert tab.pdf(tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.slow
@pytest.mark.parametrize("width", [400, 1400])
def test_wide_formulas_scroll_in_their_box(tab: Browser, softmax: Path, width: int) -> None:
    look(tab, softmax, width)
    wide = "Array.from(document.querySelectorAll('.box')).filter(b => b.scrollWidth > b.clientWidth + 1).length"
    assert tab.evaluate(wide) >= 1


def test_a_browser_runs_nothing_of_a_hostile_page(tab: Browser, tmp_path: Path) -> None:
    path = tmp_path / "hostile.html"
    path.write_text(Page(HOSTILE, (Section("s", notes=(HOSTILE,)),), command=HOSTILE).html())
    tab.open(path)
    assert tab.requests == [path.absolute().as_uri()]
    assert tab.complaints == []
    assert tab.evaluate("document.title") == " ".join(HOSTILE.split())


def test_the_browser_sees_what_a_bad_page_does(tab: Browser, tmp_path: Path) -> None:
    path = tmp_path / "bad.html"
    path.write_text(
        "<!DOCTYPE html><link rel='icon' href='data:,'><div style='width: 3000px'>wide</div>"
        "<math><mfrac style='display: none'><mn>1</mn><mn>2</mn></mfrac></math>"
        "<img src='http://127.0.0.1:9/outside.png'><script>console.error('said'); throw new Error('thrown')</script>"
    )
    tab.open(path)
    assert "http://127.0.0.1:9/outside.png" in tab.requests
    assert any("said" in line for line in tab.complaints)
    assert any("thrown" in line for line in tab.complaints)
    assert len(tab.evaluate(MISPLACED)) >= 2
