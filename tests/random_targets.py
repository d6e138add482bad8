"""Random targets in the whole formula grammar, reproducible from a seed: texts as a user may write them."""

from __future__ import annotations

import random

_UNARY = (
    "exp", "sin", "cos", "sinh", "cosh", "tanh", "erf", "Phi", "sigmoid", "softplus", "gelu", "relu", "abs", "sign",
    "step",
)  # fmt: skip
_PARAMETERS = (
    "a", "b", "beta", "omega", "eps", "epsilon", "e", "lambda_", "sigma", "phi", "f", "H", "omega_c", "a_max", "rate",
    "x1", "x_1", "beta2", "Gamma_2", "a_b_c", "pi_2", "Phi1", "sin_a", "z_1", "Z2", "alpha_beta", "kappa", "Theta",
    "e2",
)  # fmt: skip


class RandomTarget:
    """One method per kind of formula; `depth` bounds the nesting."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.indices: list[str] = []

    def text(self) -> str:
        """A scalar, one time in ten a vector or a matrix."""
        kind = self.random.random()
        if kind < 0.05:
            return f"[{', '.join(self.sum(1) for _ in range(self.random.randint(1, 3)))}]"
        if kind < 0.1:
            columns = self.random.randint(1, 3)
            rows = [", ".join(self.sum(1) for _ in range(columns)) for _ in range(self.random.randint(1, 3))]
            return f"[{', '.join(f'[{row}]' for row in rows)}]"
        return self.sum(self.random.choice((1, 1, 1, 2)))

    def sum(self, depth: int) -> str:
        terms = [self.product(depth) for _ in range(self.random.randint(1, 3))]
        return "".join(self.random.choice("+-") + term for term in terms)

    def product(self, depth: int) -> str:
        factors = [self.factor(depth) for _ in range(self.random.randint(1, 3))]
        if self.random.random() < 0.3:
            factors.insert(0, self.number())
        return "*".join(factors) + (f"/{self.random.randint(2, 9)}" if self.random.random() < 0.2 else "")

    def number(self) -> str:
        n, d = self.random.randint(1, 20), self.random.randint(1, 9)
        forms = (str(n), f"({n}/{d})", f"{n / 8}", f"sqrt({d + 1})", "pi", f"exp({n}/{d})", f"(-{n})")
        return self.random.choice(forms)

    def token(self) -> str:
        if self.indices and self.random.random() < 0.8:
            index = self.random.choice(self.indices)
            return f"z[{self.random.choice((index, index, f'{index}+1', f'2*{index}-1'))}]"
        return f"z{self.random.choice((1, 2, 3, 12))}"

    def factor(self, depth: int) -> str:
        pick = self.random.random()
        if depth == 0 or pick < 0.3:
            return self.random.choice((self.token(), self.token(), self.random.choice(_PARAMETERS)))
        inner = self.sum(depth - 1)
        other = self.random.choice((self.number(), self.token()))
        forms = (
            (0.42, f"{self.random.choice(('He', 'he'))}({self.random.randint(0, 6)}, {inner})"),
            (0.47, f"He({self.random.randint(0, 6)}, {self.token()})"),
            (0.62, f"{self.random.choice(_UNARY)}({inner})"),
            (0.72, f"({inner})^{self.random.randint(1, 4)}"),
            (0.74, f"sqrt(1+({inner})^2)"),
            (0.76, f"log(1+abs({inner}))"),
            (0.78, f"1/(1+({inner})^2)"),
            (0.80, f"abs({inner})^(1/3)"),
            (0.83, f"{self.random.choice(('min', 'max'))}({inner}, {other})"),
            (0.86, f"softmax(2, {inner}, {other}, z1)"),
            (0.93, self.structured(depth) if len(self.indices) < 2 else f"tanh({inner})"),
            (1.0, f"({inner})"),
        )
        return next(form for bound, form in forms if pick < bound)

    def structured(self, depth: int) -> str:
        """A sum or product over an index, whose body reads a token of it."""
        index = "lkj"[len(self.indices)]
        low, kind = self.random.randint(1, 2), self.random.choice(("sum", "prod"))
        self.indices.append(index)
        rest = self.sum(depth - 1)
        body = self.random.choice((f"z[{index}]", f"z[{index}]*{rest[1:]}", f"z[{index}]{rest}", f"-z[{index}]"))
        self.indices.pop()
        return f"{kind}({index}, {low}, {low + self.random.randint(1, 4)}, {body})"
