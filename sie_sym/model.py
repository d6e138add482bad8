r"""The model: f_w(X) = phi((X + P) w), phi: R^L -> R^k, with its positional encoding (arXiv:2506.02651, section 2)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import sympy as sp

from sie_sym.errors import FormulaError
from sie_sym.functions import softmax, token
from sie_sym.linear_forms import written_out
from sie_sym.softmax_form import softmax_form
from sie_sym.target import parameters_of, tokens_of

ACTIVATION_VARIABLE = sp.Symbol("u", real=True)
"""The argument u of an activation formula sigma(u)."""


def _no_encoding(tokens: int) -> sp.ImmutableDenseMatrix:
    return sp.ImmutableDenseMatrix(tokens, 0, [])


@dataclass(frozen=True)
class Model:
    r"""phi: R^L -> R^k read at z = (X + P) w, z_l ~ N(e_l, 1), e = C eps.

    `components` are the k scalar outputs (row-major for a matrix) in z1..zL, sums and products over tokens written
    out, any injection already applied;
    `encoding` is the L x r matrix C of theory section 1 (rows P_l = sum_i C_li u_i / d; r = 0 without encoding);
    `injection` is the fixed shift c of phi(z + c), `scores` the c of softmax(z z^T + c c^T) (both App. D).
    """

    components: tuple[sp.Expr, ...]
    tokens: int
    family: str
    encoding: sp.ImmutableDenseMatrix
    injection: tuple[sp.Expr, ...] = ()
    activation: sp.Expr | None = None
    reduction: str | None = None
    scores: tuple[sp.Expr, ...] = ()
    semantic: sp.Symbol = field(default=sp.Symbol("m", real=True))

    @property
    def positional(self) -> tuple[sp.Symbol, ...]:
        """The positional overlaps: (eps,), or (eps1, ..., epsr) for r > 1 encoding directions."""
        rank = self.encoding.cols
        names = ["eps"] if rank == 1 else [f"eps{i}" for i in range(1, rank + 1)]
        return tuple(sp.Symbol(name, real=True) for name in names)

    @property
    def statistics(self) -> tuple[sp.Symbol, ...]:
        """The sufficient statistics (m, eps_1, ..., eps_r)."""
        return (self.semantic, *self.positional)

    @property
    def shift(self) -> tuple[sp.Expr, ...]:
        """The means e = C eps of the L local fields."""
        if not self.positional:
            return (sp.Integer(0),) * self.tokens
        return tuple(self.encoding * sp.Matrix(self.positional))

    @property
    def parameters(self) -> tuple[sp.Symbol, ...]:
        """The real parameters of phi and of the encoding, by name."""
        return parameters_of((*self.components, self.encoding))

    def with_encoding(self, columns: Sequence[Sequence[sp.Expr]]) -> Model:
        """The same phi with encoding directions; each column has one entry a token."""
        for column in columns:
            self._check_length("encoding column", column)
        matrix = sp.ImmutableDenseMatrix(
            self.tokens, len(columns), lambda row, column: sp.sympify(columns[column][row], strict=True)
        )
        return replace(self, encoding=matrix)

    def with_injection(self, shift: Sequence[sp.Expr]) -> Model:
        """phi(z + c): the encoding P_l = c_l w / sqrt d of App. D; a second injection adds to the first.

        The appendix displays softmax(z z^T + c c^T): that is `softmax_attention` with `scores`.
        """
        self._check_length("injection", shift)
        entries = [sp.sympify(c, strict=True) for c in shift]
        moved = {token(l): token(l) + c for l, c in enumerate(entries, start=1)}
        components = tuple(c.subs(moved, simultaneous=True) for c in self.components)
        before = self.injection or (sp.Integer(0),) * self.tokens
        total = tuple(old + new for old, new in zip(before, entries, strict=True))
        return replace(self, components=components, injection=total)

    def rewritten(self, rewrite: Callable[[Sequence[sp.Expr], str], tuple[sp.Expr, ...]]) -> Model:
        """The model with all its formulas rewritten; `rewrite` takes formulas and what they are ("the encoding")."""
        entries = rewrite(tuple(self.encoding), "the encoding")
        sigma = () if self.activation is None else (self.activation,)
        return replace(
            self,
            components=rewrite(self.components, "the model"),
            encoding=sp.ImmutableDenseMatrix(*self.encoding.shape, entries),
            injection=rewrite(self.injection, "the injection"),
            scores=rewrite(self.scores, "the injection"),
            activation=next(iter(rewrite(sigma, "the activation")), None),
        )

    def _check_length(self, what: str, entries: Sequence[sp.Expr]) -> None:
        _require_one_a_token(what, entries, self.tokens)


def _require_one_a_token(what: str, entries: Sequence[sp.Expr], tokens: int) -> None:
    if len(entries) != tokens:
        raise FormulaError(
            f"{what} ({', '.join(map(str, entries))}) has {len(entries)} entries but the model has "
            f"{tokens} tokens: give one number a token"
        )


def linear_attention(tokens: int) -> Model:
    r"""phi(z) = (1/L) (sum_l z_l)^2: attention without softmax, all tokens summed (eq. 12-13)."""
    activation = ACTIVATION_VARIABLE**2
    return replace(tied_network(tokens, activation), family="linear-attention")


def tied_network(tokens: int, activation: sp.Expr) -> Model:
    r"""phi(z) = sigma((1/sqrt L) sum_l z_l), sigma a formula in u (eq. 14)."""
    field_sum = sp.Add(*(token(l) for l in range(1, tokens + 1)))
    component = activation.subs(ACTIVATION_VARIABLE, field_sum / sp.sqrt(tokens))
    return Model((component,), tokens, "tied", _no_encoding(tokens), activation=activation)


def formula_model(formula: sp.Expr | sp.MatrixBase, tokens: int) -> Model:
    """Any phi given as a SymPy expression (or matrix) in z1..zL; sums and products over tokens are written out.

    Raises `FormulaError` when it reads a token beyond the given number.
    """
    entries = tuple(formula) if isinstance(formula, sp.MatrixBase) else (formula,)
    # Written out, so that encodings and injections, which shift the symbols z1..zL, reach every token.
    components = tuple(softmax_form(written_out(sp.sympify(entry, strict=True))) for entry in entries)
    largest = max((max(tokens_of(c), default=0) for c in components), default=0)
    if largest > tokens:
        raise FormulaError(
            f"the model reads token z{largest} but the sequence has {tokens} tokens: pass --tokens {largest} or more"
        )
    return Model(components, tokens, "formula", _no_encoding(tokens))


def attention_matrix(tokens: int, scores: Sequence[sp.Expr] = ()) -> sp.ImmutableDenseMatrix:
    """softmax_rows(z z^T + c c^T), the L x L attention matrix (eq. 1 with tied keys and queries, App. A).

    `scores` is c, 0 by default (App. D as displayed: even in z, so that all its odd tensors vanish).
    """
    z = [token(l) for l in range(1, tokens + 1)]
    c = [sp.sympify(entry, strict=True) for entry in scores] or [sp.Integer(0)] * tokens
    _require_one_a_token("injection into the scores", c, tokens)
    return sp.ImmutableDenseMatrix(
        tokens,
        tokens,
        lambda i, j: softmax(sp.Integer(j + 1), *(z[i] * other + c[i] * e for other, e in zip(z, c, strict=True))),
    )


LinearMap: TypeAlias = sp.MatrixBase | tuple[Sequence[sp.Expr], Sequence[sp.Expr]]
"""A k x L^2 matrix on the row-major entries of an L x L matrix A, or a pair (a, b) for the projection a^T A b."""


def softmax_attention(
    tokens: int, reduction: str | LinearMap = "identity", scores: Sequence[sp.Expr] = ()
) -> Model:
    """Red(softmax_rows(z z^T + c c^T)), Red any linear map (App. A), c the `scores` (App. D), 0 by default.

    `reduction` is identity (k = L^2), trace, mean-trace (trace / sqrt L; the official code calls that one "trace"), a
    pair (a, b) of vectors for the projection a^T A b, or a k x L^2 matrix for its product with the row-major entries
    of A.  Raises `FormulaError` for other names, shapes and numbers of scores.

    >>> softmax_attention(2, ([1, 0], [1, 0])).components
    (sigmoid(z1*(z1 - z2)),)
    """
    matrix = attention_matrix(tokens, scores)
    if not isinstance(reduction, str):
        name = "linear map" if isinstance(reduction, sp.MatrixBase) else "projection"
        components = tuple(_linear_map(tokens, reduction) * sp.Matrix(tokens**2, 1, list(matrix)))
    elif reduction == "identity":
        components, name = tuple(matrix), reduction
    elif reduction in ("trace", "mean-trace"):
        scale = sp.Integer(1) if reduction == "trace" else 1 / sp.sqrt(tokens)
        components, name = (scale * matrix.trace(),), reduction
    else:
        raise FormulaError(
            f"unknown reduction {reduction!r}: choose identity, trace or mean-trace, or pass a pair (a, b) or a matrix"
        )
    added = tuple(sp.sympify(entry, strict=True) for entry in scores)
    return Model(components, tokens, "softmax-attention", _no_encoding(tokens), scores=added, reduction=name)


def _linear_map(tokens: int, reduction: LinearMap) -> sp.MatrixBase:
    """The k x L^2 matrix of a linear map of L x L matrices."""
    if isinstance(reduction, sp.MatrixBase):
        if reduction.rows == 0 or reduction.cols != tokens**2:
            raise FormulaError(
                f"a reduction of shape {reduction.shape}: give k x {tokens**2}, a column for each entry of the "
                f"{tokens} x {tokens} attention matrix, row by row"
            )
        return reduction
    a, b = ([sp.sympify(entry, strict=True) for entry in side] for side in reduction)
    if not len(a) == len(b) == tokens:
        raise FormulaError(f"a projection of {len(a)} and {len(b)} entries: give two vectors of {tokens}")
    return sp.Matrix([[x * y for x in a for y in b]])
