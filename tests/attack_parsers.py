"""Random and mutated strings against both readers: nothing runs, nothing hangs, nothing but the documented errors.

    python tests/attack_parsers.py --strings 1000000 --seed 1

attacks with a million strings (half formulas, half LaTeX) and prints a line of counts; the first string that breaks a
rule ends it with exit code 1, and is printed with its seed.  `test_attack_parsers.py` fires a short burst of it.
"""

from __future__ import annotations

import argparse
import random
import re
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import sympy as sp

from sie_sym.errors import SieSymError
from sie_sym.parse import parse_formula
from sie_sym.parse_latex import parse_latex

SECONDS = 1.0
"""What one string may cost."""


def _words(text: str) -> list[str]:
    return text.split(" ")


FORMULA_PIECES = _words(
    "z1 z2 z12 z[l] z[l+1] beta l 0 1 2 0.5 1e9 10^9 .5 3/7 + - * / ^ ** ( ) [ ] , He( he( exp( log( abs( sqrt( max( "
    "min( sum(l,1,9, prod(l,1,9, sum(l,1,1000, tan( "
    "tanh( relu( step( sign( erf( Phi( sigmoid( softplus( gelu( softmax( softmax(1, pi ** 1/ \\ "
    "lambda ' \" . _ é \0 \n # ; : = == __class__ import eval( z1.real @fig2 [[1,2],[3,4]] 99999999999999999999 1e-300"
)
LATEX_PIECES = _words(
    r"z_1 z_{2} z_{\star,1} z_{12} z_l z_{l+1} \beta 2 0.5 ^ _ { } ( ) | \frac{1}{2} \frac \sqrt \sqrt[3] \sin \log "
    r"\exp \mathrm{softmax}_{2}( "
    r"\mathrm{He}_3 \mathrm{He}_{4}( \operatorname{erf}( + - / \cdot \, \left( \right) \left \right \sum_{l=1}^{3} "
    r"\sum_{i=1}^L \prod_{l=1}^{2} e^ e^{ & \\ \mathrm \mathbf{z}_1 \vec \begin{pmatrix} \end{pmatrix} [ ] , = \star "
    r"\max \input \def \catcode \write18 é \ $ % # 1.5 \Phi \lvert \rvert ~ \infty \int \text{z} ^{2} _{1} }{ '"
)
FORMULA_SEEDS = (
    "He(1,z1)*He(4,z2) + He(2,z3)*He(2,z4)",
    "4/3 + He(4,z1) + 2*He(4,z2)",
    "sum(l, 1, 1000, He(4, z[l]))",
    "z1*prod(l, 2, 30, 1 + z[l])",
    "relu(z1 - 1/2) - z1*Phi(z1) + gelu(z2)",
    "abs(z1) - sqrt(2/pi)*(z1^2 - 1)/2",
    "(1-w)*He(2,z1) + w*He(4,z1)",
    "exp(-z1^2/4)*cos(2*z2) + tanh(z1)*sigmoid(z1*(z1-z2))",
    "[[1/(1+exp(-z1*z2)), 0], [sign(z1*z2*z3), max(z1, z2, 0)]]",
    "min(z1^2, 3) + log(1 + z1^2) + softplus(-z2)",
    "z1*softmax(2, z1^2, z1*z2, 3) - exp(z3)/(exp(z1) + exp(z2))",
)
LATEX_SEEDS = (
    r"\mathrm{He}_1(z_1)\,\mathrm{He}_{4}(z_{2}) + \mathrm{He}_2(z_{\star,3})",
    r"\frac{4}{3} + \mathrm{He}_4(z_1) + 2\,\mathrm{He}_4\left(z_2\right)",
    r"\sum_{l=1}^{10} \frac{z_l^2}{\sqrt{2}}",
    r"z_1 \prod_{l=2}^{5} \left(1 + z_l\right)",
    r"\left|z_1\right| - \sqrt{\frac{2}{\pi}} \frac{z_1^{2} - 1}{2}",
    r"e^{-\frac{z_1^2}{4}} \cos\left(2 z_2\right) + \operatorname{erf}\left(z_1\right)",
    r"\mathrm{softmax}_{1}\left(z_1^2, z_1 z_2\right) - \frac{1}{2}",
    r"\begin{pmatrix} \tanh(z_1) & 0 \\ 1 & \max\left(z_1, z_2\right) \end{pmatrix}",
)


SWAPS = (
    (r"\bz\d\b", "z1 z2 z3 (z1-z2) (z1+z2/2) 1 w"),
    (r"z_\d", r"z_1 z_2 z_{3} (z_1-z_2) 1 w"),
    (r"(?<![\w_{\[.])\d+(?![\w.])", "0 1 2 3 7 1/2 0.25 10 64 (-1) 10^6"),
    (r"\b(?:abs|relu|tanh|exp|sign|gelu|erf|Phi|sigmoid|cos|log|sqrt|softplus)\b",
     "abs relu tanh exp sign gelu erf Phi sigmoid cos sin log sqrt softplus step sinh tan"),
    (r"(?<=[\w)}] )[-+*/](?= [\w({\\])", "+ - * / ^"),
    (r"\*", "* + - / ^"),
)  # fmt: skip
"""What stands for what in a string that stays well formed: a pattern, and the texts that may replace one match."""


@dataclass(frozen=True)
class Reader:
    """A reader under attack, with the pieces and the well-formed strings that the strings are made of."""

    read: Callable[[str], object]
    pieces: Sequence[str]
    seeds: Sequence[str]


READERS = {
    "formula": Reader(parse_formula, FORMULA_PIECES, FORMULA_SEEDS),
    "latex": Reader(parse_latex, LATEX_PIECES, LATEX_SEEDS),
}


def strings(reader: Reader, rng: random.Random) -> Iterator[str]:
    """Without end: pieces in a row, seeds with words swapped for their like, seeds with pieces cut, copied, inserted,
    crossed, and raw characters.
    """
    characters = "".join(map(chr, range(128))) + "é∑π₁²−×·ΩＡ\u202e\u200b\U0001f600"
    while True:
        kind = rng.random()
        if kind < 0.2:
            yield rng.choice(("", " ")).join(rng.choices(reader.pieces, k=rng.randint(1, 25)))
        elif kind < 0.6:
            text = rng.choice(reader.seeds)
            for _ in range(rng.randint(1, 5)):
                pattern, others = rng.choice(SWAPS)
                if matches := list(re.finditer(pattern, text)):
                    match = rng.choice(matches)
                    text = text[: match.start()] + rng.choice(others.split(" ")) + text[match.end() :]
            yield text
        elif kind < 0.9:
            text = rng.choice(reader.seeds)
            for _ in range(rng.randint(1, 6)):
                i, j = sorted(rng.choices(range(len(text) + 1), k=2))
                act = rng.random()
                if act < 0.25:
                    text = text[:i] + text[i + rng.randint(1, 3) :]
                elif act < 0.65:
                    text = text[:i] + rng.choice(reader.pieces) + text[i:]
                elif act < 0.8:
                    text = text[:j] + text[i:j] * rng.randint(1, 3) + text[j:]
                elif act < 0.9:
                    text = text[:i] + rng.choice(characters) + text[i + 1 :]
                else:
                    other = rng.choice(reader.seeds)
                    text = text[:i] + other[rng.randrange(len(other)) :]
                text = text[:400]
            yield text
        else:
            yield "".join(rng.choices(characters, k=rng.randint(0, 40)))


class TooSlow(BaseException):
    """Raised in the reader by the alarm; no `except Exception` swallows it."""


def _alarm(*_: object) -> None:
    raise TooSlow


_watching = False
_events: list[str] = []


def _hook(event: str, arguments: tuple[object, ...]) -> None:
    runs = event in ("os.system", "subprocess.Popen", "os.exec", "os.posix_spawn", "open", "socket.connect")
    if _watching and (runs or (event == "compile" and arguments[1] == "<string>")):
        # Modules that the first formulas import are read and compiled; a file name is theirs, a formula's never.
        if event == "open" and str(arguments[0]).endswith((".py", ".pyc", ".so")):
            return
        _events.append(event)


def check_reader(read: Callable[[str], object], text: str) -> None:
    """What both grammars promise of any text: a real and finite formula, or a refusal that names a column, soon."""
    start, value, refusal = time.process_time(), None, ""
    try:
        value = read(text)
    except SieSymError as error:
        refusal = str(error)
    assert time.process_time() - start < SECONDS
    if value is None:
        assert "column" in refusal
    else:
        assert isinstance(value, (sp.Expr, sp.ImmutableDenseMatrix))
        assert not value.has(sp.I, sp.zoo, sp.nan, sp.oo, sp.Float)


def attack(name: str, count: int, seed: int) -> Counter[str]:
    """How many of `count` strings were read and refused; raises `AssertionError` at the first that breaks a rule."""
    global _watching
    reader, rng = READERS[name], random.Random(f"{name} {seed}")
    tally: Counter[str] = Counter()
    sys.addaudithook(_hook)
    before = signal.signal(signal.SIGPROF, _alarm)
    try:
        for _, text in zip(range(count), strings(reader, rng), strict=False):
            _events.clear()
            start = time.process_time()
            signal.setitimer(signal.ITIMER_PROF, 4 * SECONDS)
            _watching = True
            try:
                value = reader.read(text)
            except SieSymError as error:
                message = str(error)
                assert 0 < len(message) < 600, f"{name} {seed}: {text!r}: a message of {len(message)} letters"
                assert "\n" not in message, f"{name} {seed}: {text!r}: a message of several lines"
                tally[type(error).__name__] += 1
            except BaseException as error:
                raise AssertionError(f"{name} {seed}: {text!r}: {type(error).__name__}: {error}") from error
            else:
                tally["read"] += 1
                assert isinstance(value, (sp.Expr, sp.ImmutableDenseMatrix)), f"{name} {seed}: {text!r}"
                assert not value.has(sp.I, sp.zoo, sp.nan, sp.oo, sp.Float), f"{name} {seed}: {text!r}: {value}"
            finally:
                _watching = False
                signal.setitimer(signal.ITIMER_PROF, 0)
            spent = time.process_time() - start
            assert not _events, f"{name} {seed}: {text!r} ran {_events}"
            assert spent < SECONDS, f"{name} {seed}: {text!r} took {spent:.2f} s"
    finally:
        signal.signal(signal.SIGPROF, before)
    return tally


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--strings", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    for name in READERS:
        try:
            tally = attack(name, options.strings // len(READERS), options.seed)
        except AssertionError as broken:
            print(broken)
            return 1
        print(f"{name}: " + ", ".join(f"{count} {what}" for what, count in tally.most_common()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
