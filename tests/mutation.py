"""Mutation testing: small faults are put into a module one at a time, and its tests must fail.

    python tests/mutation.py weierstrass expansion --mutants 40 --seed 1

draws mutants at random from all of a module's (operators, comparisons, constants, conditions, dropped statements), runs
the module's tests on each in a copy of the tree, and prints the survivors with their lines and the score.  A survivor
is a missing test, or a change without effect (an equivalent mutant): only reading tells.  `--only 55,107` takes of the
drawn mutants those of these lines.  The unchanged module is tested first: if that fails, no score would mean anything.
"""

from __future__ import annotations

import argparse
import ast
import copy
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import flint  # noqa: F401  (imported once, here, for all mutants)
import pytest
import scipy.integrate
import scipy.stats  # noqa: F401
import sympy  # noqa: F401

ROOT = Path(__file__).resolve().parent.parent

TESTS = {
    "weierstrass": "test_exponents test_weierstrass",
    "weighted_ridge": "test_weighted_ridge",
    "expansion": "test_expansion test_integral test_exponents",
    "exponents": "test_integral test_exponents",
    "population_loss": "test_integral test_population_loss",
    "gaussian": "test_integral test_agreement test_gaussian",
    "gaussian_rules": "test_integral test_agreement test_gaussian",
    "gaussian_enclosure": "test_integral test_agreement test_gaussian",
    "hermite_grid": "test_hermite_grid",
    "model_table": "test_model_table",
    "sgd": "test_sgd test_gram_matrix",
    "chain": "test_sgd test_gram_matrix",
    "fields": "test_sgd test_gram_matrix",
}
"""The modules under test and the files whose tests must notice, the fastest first."""

LEFT_OUT = "numba or hash_seed or machine_code or accepted_with"
"""Tests that compile machine code or start processes: too dear for each mutant."""

PROFILE = """
hypothesis.settings.register_profile(
    "mutation", deadline=None, derandomize=True, database=None, phases=list(hypothesis.Phase)[:3]
)
hypothesis.settings.load_profile("mutation")
"""
"""The end of the copy's conftest.py: the same examples for every mutant, and no time spent on shrinking them."""

SWAPS: dict[type[ast.AST], tuple[type[ast.AST], ...]] = {
    ast.Add: (ast.Sub,),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.Add, ast.Div),
    ast.Div: (ast.Mult,),
    ast.FloorDiv: (ast.Mult,),
    ast.Mod: (ast.Mult,),
    ast.Pow: (ast.Mult,),
    ast.Lt: (ast.LtE, ast.Gt),
    ast.LtE: (ast.Lt,),
    ast.Gt: (ast.GtE, ast.Lt),
    ast.GtE: (ast.Gt,),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
    ast.And: (ast.Or,),
    ast.Or: (ast.And,),
    ast.BitAnd: (ast.BitOr,),
    ast.BitOr: (ast.BitAnd,),
}


@dataclass(frozen=True)
class Mutant:
    """One change: where, what, and the text of the changed module."""

    line: int
    change: str
    text: str


def _docstring(node: ast.AST, parents: dict[ast.AST, ast.AST]) -> bool:
    return isinstance(parents.get(node), ast.Expr)


def _parse(text: str) -> ast.Module:
    """The tree with an operator of its own at each place: the parser shares one `ast.Add` among all sums."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        for name, value in ast.iter_fields(node):
            if type(value) in SWAPS:
                setattr(node, name, type(value)())
            elif isinstance(value, list):
                setattr(node, name, [type(item)() if type(item) in SWAPS else item for item in value])
    return tree


def _inert(node: ast.AST) -> Iterator[ast.AST]:
    """Parts that no test can notice: annotations, decorators such as dataclass(frozen=True), and zip's strict=True."""
    for name in ("annotation", "returns"):
        if (part := getattr(node, name, None)) is not None:
            yield part
    yield from getattr(node, "decorator_list", ())
    if isinstance(node, ast.keyword) and node.arg == "strict":
        yield node


def _spots(tree: ast.Module) -> Iterator[tuple[int, str, int]]:
    """(number of the node in `ast.walk`, kind, which of its alternatives)."""
    parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    inert = {n for node in ast.walk(tree) for part in _inert(node) for n in ast.walk(part)}
    for number, node in enumerate(ast.walk(tree)):
        if node in inert:
            continue
        if type(node) in SWAPS:
            for which in range(len(SWAPS[type(node)])):
                yield number, "swap", which
        elif isinstance(node, ast.Constant) and not _docstring(node, parents):
            if isinstance(node.value, bool | int) and not isinstance(parents.get(node), ast.JoinedStr):
                yield number, "constant", 0
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.Not):
            yield number, "unary", 0
        elif isinstance(node, ast.If | ast.IfExp | ast.While):
            yield number, "true", 0
            yield number, "false", 0
        elif isinstance(node, ast.AugAssign | ast.Raise) or (
            isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
        ):
            yield number, "drop", 0


def _mutated(tree: ast.Module, number: int, kind: str, which: int) -> Mutant:
    changed = copy.deepcopy(tree)
    parents = {child: node for node in ast.walk(changed) for child in ast.iter_child_nodes(node)}
    node = list(ast.walk(changed))[number]
    place: ast.AST = node
    while not hasattr(place, "lineno"):
        place = parents[place]
    before = ast.unparse(node if hasattr(node, "lineno") and kind != "drop" else place)
    replacement: ast.AST
    if kind == "swap":
        replacement = SWAPS[type(node)][which]()
        change = f"{type(node).__name__} -> {type(replacement).__name__}"
    elif kind == "constant":
        assert isinstance(node, ast.Constant)
        value = not node.value if isinstance(node.value, bool) else node.value + 1  # type: ignore[operator]
        replacement, change = ast.Constant(value), f"{node.value} -> {value}"
    elif kind == "unary":
        assert isinstance(node, ast.UnaryOp)
        replacement, change = node.operand, "sign or not dropped"
    elif kind == "drop":
        replacement, change = ast.Pass(), "statement dropped"
    else:
        assert isinstance(node, ast.If | ast.IfExp | ast.While)
        node.test, change = ast.Constant(kind == "true"), f"condition {kind}"
        return Mutant(place.lineno, f"{change} in {before.splitlines()[0][:90]}", _text(changed))
    parent = parents[node]
    for field, value in ast.iter_fields(parent):
        if value is node:
            setattr(parent, field, replacement)
        elif isinstance(value, list):
            setattr(parent, field, [replacement if item is node else item for item in value])
    return Mutant(place.lineno, f"{change} in {before.splitlines()[0][:90]}", _text(changed))


def _text(tree: ast.Module) -> str:
    return ast.unparse(ast.fix_missing_locations(tree))


def source(tree: Path, module: str) -> Path:
    """The file of a module in a copy of the tree, whatever folder it stands in."""
    (path,) = (tree / "sie_sym").rglob(f"{module}.py")
    return path


def mutants(module: str, count: int, seed: int) -> list[Mutant]:
    """`count` mutants of a module of the package, drawn without repetition; all of them if there are fewer."""
    tree = _parse(source(ROOT, module).read_text())
    spots = list(_spots(tree))
    drawn = random.Random(f"{module} {seed}").sample(spots, min(count, len(spots)))
    return [_mutated(tree, *spot) for spot in drawn]


def survives(text: str, module: str, tree: Path, seconds: float) -> bool:
    """Whether the tests of a module pass with this text of it in a copy of the tree; those that hang do not.

    A fork of this process runs them: it has SymPy, NumPy and SciPy already, and nothing of the package.
    """
    path = source(tree, module)
    original = path.read_text()
    files = [str(path.relative_to(tree)), *(f"tests/{name}.py" for name in TESTS[module].split())]
    options = ["-x", "-q", "-p", "no:cacheprovider", "-m", "not slow", "-k", f"not ({LEFT_OUT})"]
    try:
        path.write_text(text)
        for stale in (path.parent / "__pycache__").glob(f"{module}.*"):  # two mutants may agree in size and second
            stale.unlink()
        child = os.fork()
        if child == 0:
            _run_tests(tree, [*options, *files])
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                return status == 0
            time.sleep(0.05)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return False
    finally:
        path.write_text(original)


def _run_tests(tree: Path, arguments: list[str]) -> NoReturn:
    code = 1
    try:
        os.chdir(tree)
        sys.path.insert(0, str(tree))
        silent = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(silent, stream)
        code = int(pytest.main(arguments))
    finally:
        os._exit(code)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("modules", nargs="*", default=list(TESTS), choices=[*TESTS, []])
    parser.add_argument("--mutants", type=int, default=40, help="of each module")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=lambda text: {int(line) for line in text.split(",")}, help="lines, as 55,107")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        for name in ("sie_sym", "tests", "derivations", "docs"):
            shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__", "_build", ".*"))
        for name in ("setup.cfg", "pyproject.toml", "README.md"):
            shutil.copy(ROOT / name, tree)
        with (tree / "tests" / "conftest.py").open("a") as conftest:
            conftest.write(PROFILE)
        for module in options.modules:
            drawn = mutants(module, options.mutants, options.seed)
            if options.only:
                drawn = [mutant for mutant in drawn if mutant.line in options.only]
            start = time.monotonic()
            if not survives(source(ROOT, module).read_text(), module, tree, 1200):
                print(f"{module}: its tests fail on the unchanged module", file=sys.stderr)
                return 1
            seconds = 60 + 4 * (time.monotonic() - start)
            alive = 0
            for mutant in drawn:
                if survives(mutant.text, module, tree, seconds):
                    alive += 1
                    print(f"{module}.py:{mutant.line}: survives: {mutant.change}", flush=True)
            print(f"{module}: {len(drawn) - alive} of {len(drawn)} mutants noticed", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
