"""Certified removal (Guo et al., Certified Data Removal from Machine Learning Models, 2020).

One Newton step on a logistic regression, one class against the rest for each class,

    L(w) = sum_i log(1 + exp(-s_i w'x_i)) + lam n / 2 ||w||^2 + b'w,   s_i = +-1

trained with a random b. Row x leaves by w + H^-1 D, where D = lam w + grad of x's loss and
H is the Hessian at w on the rows that remain; then

    || grad L(w + H^-1 D) ||  <=  1/4 ||X|| ||H^-1 D|| ||X H^-1 D||

is what each removal adds to the budget that b pays for. The Hessian on all rows is formed
beforehand, as the authors allow, so that a removal only has to take x out of it and factor.
"""

from functools import partial
from itertools import count

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import blas, cho_factor, cho_solve
from scipy.optimize import minimize
from scipy.special import expit

from tests.benchmarks.data import ROWS_AT_ONCE, Data
from tests.benchmarks.timing import Work

REGULARISATION = 1e-3
NOISE = 1.0
_LIPSCHITZ = 0.25
"""Of the logistic loss's second derivative."""
_TRAINING = {"maxiter": 100}


class CertifiedRemoval:
    """A trained model. Each removal starts from it: a second would need new Hessians first."""

    def __init__(self, data: Data) -> None:
        self._X = data.rows
        self._signs = 2.0 * np.eye(len(data.objective.classes))[data.labels] - 1
        self._lam = REGULARISATION
        self._W = self._train()
        self._hessians = self._form_hessians()
        self._rows = count()
        self._norm = np.sqrt(np.linalg.eigvalsh(self._X.T @ self._X)[-1])
        self.spent = 0.0

    def removal(self) -> Work:
        """The next row's removal; copies the Hessians, which it overwrites."""
        hessians = [hessian.copy(order="F") for hessian in self._hessians]
        return partial(self._remove, next(self._rows), hessians)

    def _remove(self, i: int, hessians: list[NDArray[np.float64]]) -> NDArray[np.float64]:
        x, steps = self._X[i], np.empty_like(self._W)
        score = x @ self._W
        slope = -self._signs[i] * expit(-self._signs[i] * score)
        curvature = expit(score) * expit(-score)
        for c, H in enumerate(hessians):
            blas.dsyr(-curvature[c], x, a=H, lower=1, overwrite_a=1)
            H[np.diag_indices_from(H)] -= self._lam
            D = self._lam * self._W[:, c] + slope[c] * x
            factor = cho_factor(H, lower=True, overwrite_a=True, check_finite=False)
            steps[:, c] = cho_solve(factor, D, check_finite=False)
        moved = np.linalg.norm(self._X @ steps, axis=0)
        bounds = _LIPSCHITZ * self._norm * np.linalg.norm(steps, axis=0) * moved
        self.spent += float(bounds.max())
        return self._W + steps

    def _train(self) -> NDArray[np.float64]:
        shape = (self._X.shape[1], self._signs.shape[1])
        b = NOISE * np.random.default_rng(1).standard_normal(shape)

        def loss(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            W = flat.reshape(shape)
            agreement = self._signs * (self._X @ W)
            penalty = self._lam * len(self._X)
            value = np.logaddexp(0, -agreement).sum() + penalty / 2 * (W**2).sum() + (b * W).sum()
            gradient = self._X.T @ (-self._signs * expit(-agreement)) + penalty * W + b
            return float(value), gradient.ravel()

        start = np.zeros(shape).ravel()
        found = minimize(loss, start, jac=True, method="L-BFGS-B", options=_TRAINING)
        return np.asarray(found.x.reshape(shape))

    def _form_hessians(self) -> list[NDArray[np.float64]]:
        """X' diag(curvature) X + lam n I for each class; lower triangles."""
        d = self._X.shape[1]
        hessians = [np.asfortranarray(self._lam * len(self._X) * np.eye(d)) for _ in self._W.T]
        for start in range(0, len(self._X), ROWS_AT_ONCE):
            rows = self._X[start : start + ROWS_AT_ONCE]
            scores = rows @ self._W
            roots = np.sqrt(expit(scores) * expit(-scores))
            for root, H in zip(roots.T, hessians, strict=True):
                scaled = rows * root[:, None]
                blas.dsyrk(1.0, scaled.T, 1.0, H, lower=1, overwrite_c=1)
        return hessians
