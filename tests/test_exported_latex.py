"""`--latex` of every command, over the paper's targets and models: KaTeX in strict mode and one pdflatex document."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner

from sie_sym.cli import main
from sie_sym.paper_targets import NamedTarget, named_targets

Katex = Callable[[Sequence[str]], list[str]]
Pdflatex = Callable[[str], Path]

SOFTMAX = "--model softmax-attention"
MODELS = {
    "linear": "--model linear-attention",
    "softmax": f"{SOFTMAX} --reduction trace",
    "tied relu": "--model tied --activation relu",
    "tied tanh": "--model tied --activation tanh",  # no closed form: integrals
    "formula": '--model "z1^2 + b*z1 + sin(z1)" --param b=1/3',
}
MATRICES = {"attention", "positional-semantic", "positional-semantic-smooth"}
MATRIX_VALUES = {
    "positional-semantic": "--param omega=1/2 --param a=1",
    "positional-semantic-smooth": "--param omega=1/2",
}
# Models of integrals take seconds a target: they meet the targets of even and odd, low and high order.
SLOW_MODELS, MET = {"softmax", "tied tanh"}, {"sum", "he2", "fig2", "square-difference", "staircase-2"}
# Losses of these are infinite sums of integrals over two coupled tokens, minutes each.
INTEGRALS = MATRICES | {"attention-trace"}
PARAMETRIC = (
    'sie -g "(a^2 - 1)*z1 + b*He(2,z1) + z_1*He(3,z2)"',
    'expand -g "e*relu(z1)*z2 + omega_c*step(z2 - x_1)" --order 3',
    'expand -g "sum(l, 1, 20, he(2, z[l])) + prod(l, 2, 5, 1 + a*z[l])" --order 2',
    'expand -g "max(z1, z2) + tanh(z1)" --order 2',
    'loss --model linear-attention -g "a*He(2,z1) + lambda_*z1*z2" --encoding "1,-1;1/2,1" --inject 1,0',
    'loss --model "k1*z1 + k2*z1*z2" -g "b*z1 + He(2,z2)" --encoding 1,c',
    'hessian --model linear-attention -g "a*He(2,z1) + He(2,z2)" --encoding 1,1/2',
    'loss --model tied --activation sigmoid -g "z1 + z2" --order 3',
    f"hessian {SOFTMAX} --reduction mean-trace -g @fig2 --encoding 1,-1",
    f"loss {SOFTMAX} --reduction trace -g @sum --inject 1,0",
    f"flow {SOFTMAX} -g @positional-semantic {MATRIX_VALUES['positional-semantic']} --encoding 1,-1 "
    "--start m=.1,eps=.1 --time 1",
    'gain --activation relu -g "sum(l, 1, 5, He(2, z[l]))"',
    'gain --activation erf -g "z1 + z2*z3*z1 + z2"',
    'gain --activation square -g @difference',
    "gain --activation relu -g @he3",
    "phase-diagram",
    "phase-diagram --a 0.76",
    "phase-diagram --a 0.5",
)  # fmt: skip


def encoding(entry: NamedTarget) -> str:
    return "--encoding " + ",".join(["1", "-1", *["1/2"] * entry.tokens][: entry.tokens])


def commands() -> Iterator[str]:
    """Every command that has LaTeX, on every target and model for which it takes seconds."""
    for entry in named_targets():
        target = f"-g @{entry.name}"
        yield f"sie {target}"
        yield f"expand {target} --order 3"
        if entry.name in MATRICES:
            yield f"flow {target} {SOFTMAX} {MATRIX_VALUES.get(entry.name, '')} --start m=.1 --time 1"
            continue
        for name, model in MODELS.items():
            if entry.name not in INTEGRALS and (name not in SLOW_MODELS or entry.name in MET):
                yield f"loss {target} {model}"
                yield f"hessian {target} {model}"
                if name != "formula":
                    yield f"loss {target} {model} {encoding(entry)}"
            if name in ("linear", "formula"):
                yield f"flow {target} {model} --start m=.1 --time 1"
        yield f"flow {target} {MODELS['linear']} {encoding(entry)} --rate .01 --start m=.1,eps=.1 --time .1"
    yield from PARAMETRIC


@pytest.mark.slow
def test_every_export_passes_katex_and_compiles(katex: Katex, pdflatex: Pdflatex) -> None:
    texts = []
    for command in commands():
        result = CliRunner().invoke(main, [*shlex.split(command), "--latex"])
        assert result.exit_code == 0, f"{command}: {result.output}"
        texts.append(result.stdout)
    assert len(texts) > 180
    formulas = [formula for text in texts for formula in re.findall(r"\\\[\n(.*?)\n\\\]", text, flags=re.DOTALL)]
    assert len(formulas) > 700
    assert any(r"\mathbb{E}" in formula for formula in formulas)
    assert katex(sorted(set(formulas))) == []
    preamble = r"\documentclass{article}\usepackage{amsmath,amssymb}\allowdisplaybreaks\begin{document}"
    document = pdflatex("\n\n".join([preamble, *texts, r"\end{document}"]))
    assert document.stat().st_size > 100_000
