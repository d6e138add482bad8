"""Rules of CONTRIBUTING.md that can be checked by reading: who imports whom, and what no module does."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from conftest import ROOT

PACKAGE = ROOT / "sie_sym"

# Data flows along this street: a module may import those that stand before it, in a line above or on its left.
# A line is a folder of the package ("name: modules"), or modules beside the folders: the folders are a street as well.
LINES = (
    "errors evidence files functions components",
    "grammar: domain formula formula_functions recursive_descent latex_lexemes latex_display latex_names "
    "latex_functions",
    "parse parse_latex latex_tables linear_forms softmax_form target model paper_targets model_text",
    "compilation: owen straight_line function_code codegen",
    "numeric hermite polynomial",
    "integrals: ball_functions balls growth puiseux vanishing enclosure cubature kinks symmetry logistic "
    "gaussian_enclosure gaussian_rules",
    "gaussian",
    "quadratures: token_orbits quadrature random_shifts scrambled_sobol sampled_coefficients spectral "
    "shifted_expectation hermite_grid gauss_hermite measure",
    "digits",
    "transforms: real_roots smooth_sign normal_form tilted stein smoothed integral transform composite_transform "
    "coupled_transform weighted_ridge",
    "weierstrass parseval expansion population_loss",
    "losses: spectral_loss shifted_coefficients degree_products model_table loss_family sampled_table numerical_loss "
    "sampled_loss",
    "exponents taylor escape landscape numerical_landscape gradient_noise numerical_noise frobenius_loss",
    "phases: affine_landscape landscape_table positional_semantic rim disk_minima phase_search",
    "phase_diagram phase_formulas phase_regions",
    "tensors: certified_value symmetric_tensor eigenvalues odeco sphere_maximum operator_norm leading_tensor "
    "independent_sum",
    "gain untied",
    "flows: drift dormand_prince lsoda rest",
    "flow sampled_flow recovery",
    "simulation: fields draws draws_compiled chain chain_compiled checkpoint replicas",
    "sgd scaling problem task sweep",
    "audits: claims conventions subject signs routes verdict exponents remedies entries landscape crossing",
    "audit derivation ledger",
    "typesetting: latex_printer plain_printer tables typeset claims gain numbers",
    "latex plot",
    "plots: surface phases dynamics",
    "pages: mathml inline_svg",
    "report",
    "commands: options numbers answer expansion output landscape dynamics check sweep derive report_flow "
    "report_untied report_sections report",
    "cli __main__",
)


def modules(line: str) -> list[str]:
    """The modules of a line, those of a folder with its name."""
    folder, separator, names = line.rpartition(": ")
    return [f"{folder}.{name}" if separator else name for name in names.split()]


STREET = [module for line in LINES for module in modules(line)]

# SGD is simulated from the model alone, so that it can contradict the closed form.
SIMULATION = {"simulation.fields", "simulation.draws_compiled", "simulation.chain", "simulation.chain_compiled", "sgd"}
CLOSED_FORM = {"expansion", "population_loss", "losses.spectral_loss"} | {
    "gradient_noise", "numerical_noise", "frobenius_loss",
}  # fmt: skip

MODULES = sorted(PACKAGE.rglob("*.py"))
Rule = Callable[[ast.Module], list[str]]


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


def modules_imported(tree: ast.Module, siblings: frozenset[str]) -> Iterator[tuple[int, str]]:
    """The modules of the package that a module imports, anywhere in its text, with the line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            dotted = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = "sie_sym" if node.level else node.module or ""
            if node.level and node.module:
                base = f"sie_sym.{node.module}"
            # `from sie_sym import x` imports the module x, or a public name, for which it imports everything.
            dotted = [f"sie_sym.{alias.name}" for alias in node.names] if base == "sie_sym" else [base]
        else:
            continue
        for name in dotted:
            top, _, rest = name.partition(".")
            if top == "sie_sym":
                known = (".".join(rest.split(".")[:length]) for length in (2, 1))
                here = (module for module in known if module in siblings or module in STREET)
                yield node.lineno, next(here, "__init__")


def street_violations(name: str, tree: ast.Module, siblings: frozenset[str]) -> list[str]:
    if name == "__init__":
        return []
    if name.endswith(".__init__"):
        return [f"line {line}: a folder imports nothing, not {m}" for line, m in modules_imported(tree, siblings)]
    if name not in STREET:
        return [f"{name} has no place on the street: add it to LINES in tests/test_architecture.py"]
    before = STREET[: STREET.index(name)]
    found = []
    for line, imported in modules_imported(tree, siblings):
        if imported not in before:
            found.append(f"line {line}: {name} imports {imported}, which does not stand before it")
        if name in SIMULATION and imported in CLOSED_FORM:
            found.append(f"line {line}: {name} reads the closed form, and so could not contradict it")
    return found


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_follow_the_street(path: Path) -> None:
    siblings = frozenset(map(name_of, MODULES))
    assert street_violations(name_of(path), ast.parse(path.read_text()), siblings) == []


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("target", "import sie_sym.weierstrass"),
        ("target", "import sympy, sie_sym.cli as c"),
        ("target", "from sie_sym.model import Model"),  # same line of the street, to the right
        ("target", "from sie_sym.target import Target"),
        ("target", "from sie_sym import numeric"),
        ("target", "from sie_sym import Model"),  # a public name: the facade imports everything
        ("target", "import sie_sym"),
        ("target", "from . import model"),
        ("target", "from .model import Model"),
        ("target", "def f():\n    from sie_sym.latex import to_latex"),
        ("target", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import sie_sym.plot"),
        ("sgd", "from sie_sym.population_loss import population_loss"),
        ("newcomer", "import sympy"),
        ("flow", "from sie_sym.simulation.chain import tied_step"),
        ("flow", "from sie_sym.simulation import chain"),
        ("flows.__init__", "from sie_sym.flows.drift import Drift"),
    ],
)
def test_the_street_check_sees(name: str, source: str) -> None:
    assert len(street_violations(name, ast.parse(source), frozenset())) == 1


def test_the_street_check_lets_pass() -> None:
    source = "import sympy\nfrom sie_sym import functions\nfrom sie_sym.errors import FormulaError"
    assert street_violations("target", ast.parse(source), frozenset()) == []
    assert street_violations("__init__", ast.parse("from sie_sym.cli import main"), frozenset()) == []
    assert street_violations("flows.__init__", ast.parse('"""What it holds."""'), frozenset()) == []


def test_each_folder_is_one_line_of_the_street() -> None:
    folders = [line.partition(": ")[0] for line in LINES if ": " in line]
    assert sorted(folders) == sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))


# ---- the whole tree ----------------------------------------------------------------------------

# A folder, and where the names of its modules start.
FOLDERS = {
    "sie_sym": ROOT,
    "derivations": ROOT,
    "benchmarks": ROOT,
    "tests": ROOT / "tests",
    "docs/extensions": ROOT / "docs/extensions",
}


def tree_of_modules() -> dict[str, str]:
    """The text of every module by the dotted name it is imported by."""
    found = {}
    for folder, start in FOLDERS.items():
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(start).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path.read_text()
    return found


def circle(modules: Mapping[str, str]) -> list[str]:
    """The modules of a circle of imports, those inside of functions included; empty if there is none."""
    graph: dict[str, set[str]] = {}
    for name, text in modules.items():
        reached = set()
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Import):
                reached |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert not node.level, f"{name}: imports are absolute"
                inner = {f"{node.module}.{alias.name}" for alias in node.names} & modules.keys()
                reached |= inner or {str(node.module)}
        graph[name] = reached & modules.keys()
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_the_imports_of_the_whole_tree_have_no_circle() -> None:
    assert circle(tree_of_modules()) == []


def test_the_circle_check_sees() -> None:
    page, figure = "from derivations import figure", "def f():\n    from derivations.page import points"
    assert circle({"derivations.page": page, "derivations.figure": figure}) != []
    assert circle({"derivations": "", "derivations.page": page, "derivations.figure": "from math import pi"}) == []
    assert circle({"conftest": "import browser", "browser": "import conftest"}) != []


# ---- what no module does -----------------------------------------------------------------------


def calls(tree: ast.Module) -> Iterator[tuple[ast.Call, str, bool]]:
    """The calls of a module: the node, the last part of the name called, and whether it was a bare name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name):
                yield node, node.func.id, True
            elif isinstance(node.func, ast.Attribute):
                yield node, node.func.attr, False


def sympifies_text(tree: ast.Module) -> list[str]:
    """`sympify` runs text as code unless it is strict; `parse_expr` always does."""
    found = []
    for call, name, _ in calls(tree):
        strict = any(k.arg == "strict" and ast.unparse(k.value) == "True" for k in call.keywords)
        if name in ("sympify", "S") and not strict:
            found.append(f"line {call.lineno}: {name} runs text as code: sympify(x, strict=True) does not")
        if name == "parse_expr":
            found.append(f"line {call.lineno}: {name} runs text as code: sie_sym.parse does not")
    return found


def runs_code(tree: ast.Module) -> list[str]:
    """The builtins only: the `eval` that has an owner is the class method of SymPy's functions."""
    return [
        f"line {call.lineno}: {name}: no text is run as code"
        for call, name, bare in calls(tree)
        if bare and name in ("eval", "exec", "__import__")
    ]


def simplifies(tree: ast.Module) -> list[str]:
    """`simplify` guarantees nothing, and its zeros depend on the hash seed."""
    return [
        f"line {call.lineno}: {name}: use a rewriting named for what it guarantees (expand, cancel, collect)"
        for call, name, _ in calls(tree)
        if name in ("simplify", "nsimplify")
    ]


def sets_process_wide_precision(tree: ast.Module) -> list[str]:
    """Assignments to mpmath's and flint's shared contexts, by whatever name they were imported."""
    shared, packages = set(), {"mpmath": {"mp", "iv", "fp"}, "flint": {"ctx"}}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name in packages:
                    shared |= {f"{alias.asname or alias.name}.{context}" for context in packages[alias.name]}
        elif isinstance(node, ast.ImportFrom) and node.module in packages:
            for alias in node.names:
                if alias.name in packages[node.module]:
                    shared.add(alias.asname or alias.name)
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            if ast.unparse(node.value) in shared:
                found.append((node.lineno, ast.unparse(node)))
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            owner, _, method = called.rpartition(".")
            # mpmath's workdps and workprec set the shared context for every thread; MPContext() is one's own.
            of_mpmath = (owner in shared and "ctx" not in owner.split(".")) or f"{owner}.mp" in shared
            if method in ("workdps", "workprec", "extradps", "extraprec") and of_mpmath:
                found.append((node.lineno, called))
            if called == "setattr" and node.args and ast.unparse(node.args[0]) in shared:
                found.append((node.lineno, called))
    return [
        f"line {line}: {text} changes every thread's precision: use mpmath.MPContext() or flint.ctx.workprec"
        for line, text in sorted(found)
    ]


def compiles(tree: ast.Module) -> list[str]:
    """Any use of the name `lambdify`, imports included."""
    found = []
    for node in ast.walk(tree):
        if (
            (isinstance(node, ast.Name) and node.id == "lambdify")
            or (isinstance(node, ast.Attribute) and node.attr == "lambdify")
            or (isinstance(node, ast.ImportFrom) and any(alias.name == "lambdify" for alias in node.names))
        ):
            found.append(f"line {node.lineno}: lambdify: only sie_sym.numeric compiles expressions")
    return found


RULES: tuple[Rule, ...] = (sympifies_text, runs_code, simplifies, sets_process_wide_precision, compiles)
# codegen runs the text that it wrote itself, in which no name or number of a user is quoted
EXEMPT = {("numeric", compiles), ("compilation.codegen", runs_code)}


@pytest.mark.parametrize(
    ("path", "rule"),
    [
        pytest.param(path, rule, id=f"{name_of(path)}-{rule.__name__}")
        for path in MODULES
        for rule in RULES
        if (name_of(path), rule) not in EXEMPT
    ],
)
def test_no_module(path: Path, rule: Rule) -> None:
    assert rule(ast.parse(path.read_text())) == []


@pytest.mark.parametrize(
    ("rule", "source"),
    [
        (sympifies_text, "import sympy as sp\nsp.sympify(x)"),
        (sympifies_text, "from sympy import sympify\nsympify(x, strict=False)"),
        (sympifies_text, "import sympy as sp\nsp.S('x + 1')"),
        (sympifies_text, "from sympy.parsing.sympy_parser import parse_expr\nparse_expr(x)"),
        (runs_code, "eval('1')"),
        (runs_code, "def f():\n    exec(text)"),
        (simplifies, "import sympy as sp\nsp.simplify(x)"),
        (simplifies, "x.simplify()"),
        (sets_process_wide_precision, "import mpmath\nmpmath.mp.dps = 30"),
        (sets_process_wide_precision, "from mpmath import mp\nmp.prec += 10"),
        (sets_process_wide_precision, "from mpmath import mp as m\nm.dps, y = 30, 1"),
        (sets_process_wide_precision, "import mpmath as m\nwith m.workdps(30): pass"),
        (sets_process_wide_precision, "from mpmath import mp\nwith mp.workprec(30): pass"),
        (sets_process_wide_precision, "import flint\nflint.ctx.prec = 128"),
        (sets_process_wide_precision, "from flint import ctx\nctx.dps = 40"),
        (sets_process_wide_precision, "import flint\nsetattr(flint.ctx, 'prec', 128)"),
        (compiles, "from sympy import lambdify"),
        (compiles, "from sympy import lambdify as compiled"),
        (compiles, "import sympy as sp\nf = sp.lambdify"),
    ],
)
def test_the_rules_see(rule: Rule, source: str) -> None:
    assert len(rule(ast.parse(source))) == 1


def test_the_rules_let_pass() -> None:
    source = """
        import flint, mpmath, sympy as sp
        context = mpmath.MPContext()
        context.dps = 30
        with flint.ctx.workprec(128):
            x = sp.sympify(3, strict=True) + sp.S.Half + He.eval(2, 1).evalf(30)
    """
    tree = ast.parse(source.replace("\n        ", "\n"))
    assert [rule(tree) for rule in RULES] == [[] for _ in RULES]


# ---- the project's text ------------------------------------------------------------------------

# Written so that this file does not match itself.
MACHINE_PATH = r"(?<![\w.~-])/(?:work|tmp/w|root|home)/"
REGISTRY = r"(?:registry\.npmjs|registry\.yarnpkg|pythonhosted|deb\.debian)\.|pypi\.org/[s]imple"
FOREIGN = re.compile(f"{MACHINE_PATH}|{REGISTRY}")


def test_no_text_names_a_machine_or_a_registry(tracked_files: list[Path]) -> None:
    found = []
    for path in tracked_files:
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            continue
        name = path.relative_to(ROOT)
        found += [f"{name}:{n}: {line}" for n, line in enumerate(lines, 1) if FOREIGN.search(line)]
    assert found == []


@pytest.mark.parametrize("folder", ["work", "tmp/w", "root", "home"])
def test_the_text_check_sees_a_machine_path(folder: str) -> None:
    assert FOREIGN.search(f"see /{folder}/notes.md")
    assert not FOREIGN.search(f"see docs/{folder}/notes.md")


@pytest.mark.parametrize("host", ["registry.npmjs", "files.pythonhosted"])
def test_the_text_check_sees_a_registry(host: str) -> None:
    assert FOREIGN.search(f'"resolved": "https://{host}.org/katex"')


# ---- start-up ----------------------------------------------------------------------------------


def loads_sympy(statement: str) -> bool:
    source = f"import sys\n{statement}\nprint('sympy loaded:', 'sympy' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", source], cwd=ROOT, capture_output=True, text=True, check=True)
    return {"sympy loaded: True": True, "sympy loaded: False": False}[run.stdout.splitlines()[-1]]


def test_the_start_up_check_sees_sympy() -> None:
    assert loads_sympy("import sympy")


@pytest.mark.skipif(not (PACKAGE / "cli.py").exists(), reason="there is no command line yet")
@pytest.mark.parametrize(
    "statement",
    [
        "import sie_sym.cli",
        "from sie_sym.cli import main\nsys.argv = ['sie-sym', '--help']\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code",
    ],
    ids=["import", "help"],
)
def test_the_command_line_starts_without_sympy(statement: str) -> None:
    assert not loads_sympy(statement)
