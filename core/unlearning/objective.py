"""The quadratic objective, in real and in lattice units.

    L(W) = 1/2 sum_i ||W' psi_i - t_i||^2 + 1/2 lam ||W||^2
    t_i  = alpha * onehot(y_i) - f_c(x_i)

(Golatkar et al., Mixed-Privacy Forgetting, CVPR 2021, eq. 3, with squared loss and
targets as in Achille et al., LQF, CVPR 2021, section 3.) In lattice units, psi =
step * integers and t = TARGETS.step * integers, the optimum solves A W = 2B with
A = 2G + L I and L odd, so that det A is odd and no rounding tie can occur.

A TANGENT model has J_i w in the place of W' psi_i: its psi is what enters the part of
the core that moves, stored as any psi is, and the ridge weighs the core's own weights.

f_c is what the core's own head answers on the model's classes, and 0 where it has none for
one of them. A stored row is psi and, where there is a head, f_c behind it: both are functions
of the core and the sample, rounded once to lattices that are constants.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from math import inf, isfinite
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unlearning.errors import InvalidInputError
from unlearning.lattice import LARGEST_BOUND, LOGITS, TARGETS, Lattice, feature_lattice

GRID_BITS = 30
"""Released weights are multiples of 2^-GRID_BITS in lattice units."""

DEFAULT_LABEL_SCALE = 15.0
"""alpha of LQF, section 3."""

LABEL_SCALES = (2.0**-4, 2.0**6)
LARGEST_WIDTH = 8192
"""Of a Gram matrix; TANGENT has none."""

LARGEST_ENTRANCE = 96 * 96 * 3 + 1
"""Of a row of TANGENT: an image's pixels and the constant 1."""

LARGEST_CLASSES = 1000


class Noise(StrEnum):
    """Covariance of the noise added to a release, for a Hessian H."""

    ISOTROPIC = "ISOTROPIC"
    INVERSE_HESSIAN = "INVERSE_HESSIAN"


@dataclass(frozen=True)
class Objective:
    """What is minimised, fixed when a model is created; nothing in it is learned from users.

    Its JSON form is part of what commitments are made of: frozen. What has a default is
    left out of it where it has that value, so that the form could grow.

    Attributes:
        core_digest: pins the core, SHA-256 in hex.
        feature_map: canonical name of psi.
        width: d, the entries of psi with the constant 1.
        feature_bound: entries of psi are clipped to it, in real units.
        ridge: L, the odd integer ridge in lattice units.
        label_scale: alpha in units of TARGETS.step.
        classes: the labels, in order.
        tangent_scope: canonical name of the parameters of the core that move; empty for
            FEATURES.
        noise_scale: sigma of the noise added to a release, in real units; 0 for none.
        noise: its covariance: sigma^2 I, or sigma^2 H^-1.
        has_head: whether f_c is the core's own head on these classes, rather than 0.
    """

    core_digest: str
    feature_map: str
    width: int
    feature_bound: float
    ridge: int
    label_scale: int
    classes: tuple[str, ...]
    tangent_scope: str = ""
    noise_scale: float = 0.0
    noise: Noise = Noise.ISOTROPIC
    has_head: bool = False

    @classmethod
    def create(
        cls,
        core_digest: str,
        feature_map: str,
        width: int,
        feature_bound: float,
        ridge: float,
        label_scale: float,
        classes: tuple[str, ...],
        tangent_scope: str = "",
        noise_scale: float = 0.0,
        noise: Noise = Noise.ISOTROPIC,
        has_head: bool = False,
    ) -> Self:
        """Takes real units; raises InvalidInputError, naming the field, if one cannot be used."""
        _check_classes(classes)
        _check_width(width, tangent_scope)
        _check_noise(noise_scale)
        _check_range("user_weights.feature_bound", feature_bound, 1.0, LARGEST_BOUND)
        _check_range("user_weights.label_scale", label_scale, *LABEL_SCALES)
        step = feature_lattice(feature_bound).step
        return cls(
            core_digest=core_digest,
            feature_map=feature_map,
            width=width,
            feature_bound=feature_bound,
            ridge=_lattice_ridge(ridge, step, "user_weights.ridge"),
            label_scale=int(TARGETS.round(label_scale)),
            classes=classes,
            tangent_scope=tangent_scope,
            noise_scale=noise_scale,
            noise=noise if noise_scale else Noise.ISOTROPIC,
            has_head=has_head,
        )

    def lattice_ridge(self, ridge: float) -> int:
        """What L would be for a ridge in real units; raises InvalidInputError beyond its range."""
        return _lattice_ridge(ridge, self.features.step, "ridge")

    @property
    def is_tangent(self) -> bool:
        """Whether the weights move the core's own, linearised, rather than weigh features."""
        return bool(self.tangent_scope)

    @property
    def is_exact(self) -> bool:
        """Whether what is released is a function of the rows to the last bit."""
        return not (self.is_tangent or self.noise_scale)

    @property
    def features(self) -> Lattice:
        """The lattice of psi."""
        return feature_lattice(self.feature_bound)

    @property
    def ridge_in_real_units(self) -> float:
        """The lam of the sum-form objective."""
        return self.ridge / 2 * self.features.step**2

    @property
    def label_scale_in_real_units(self) -> float:
        """The alpha of the targets."""
        return self.label_scale * TARGETS.step

    @property
    def row_width(self) -> int:
        """The entries of a stored row: d, and C more where there is a head."""
        return self.width + len(self.head)

    @property
    def head(self) -> tuple[str, ...]:
        """The classes of the core's head whose logits are f_c; none where f_c is 0."""
        return self.classes if self.has_head else ()

    def stored(self, outputs: NDArray[np.float32]) -> NDArray[np.int16]:
        """Lattice rows of what a core puts out for samples, shape (n, row_width) both."""
        psi, f_c = np.split(outputs, [self.width], axis=1)
        return np.hstack([self.features.round(psi), LOGITS.round(f_c)]).astype(np.int16)

    def psi(self, rows: NDArray[np.int16]) -> NDArray[np.int16]:
        """The psi of stored rows, shape (n, d); a view."""
        return rows[:, : self.width]

    def f_c(self, rows: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
        """The f_c of stored rows in units of TARGETS.step, shape (n, C)."""
        if not self.has_head:
            return np.zeros((len(rows), len(self.classes)), np.int64)
        return rows[:, self.width :] * np.int64(LOGITS.step / TARGETS.step)

    def targets(self, labels: ArrayLike) -> NDArray[np.int64]:
        """What f is fitted to: lattice alpha * onehot(y), shape (n, C), of class indices (n,)."""
        one_hot: NDArray[np.int64] = np.eye(len(self.classes), dtype=np.int64)[np.asarray(labels)]
        return self.label_scale * one_hot

    def fitted(
        self, rows: NDArray[np.int16], labels: ArrayLike
    ) -> tuple[NDArray[np.int16], NDArray[np.int64]]:
        """What W is fitted to: psi (n, d) and t (n, C) of stored rows and their labels (n,)."""
        return self.psi(rows), self.targets(labels) - self.f_c(rows)

    def weights(self, released: NDArray[np.int64]) -> NDArray[np.float64]:
        """Real weights, shape (d, C), of integers on the grid; exact, since all is dyadic."""
        return np.multiply(released, self.weight_unit, dtype=np.float64)

    def grid(self, weights: NDArray[np.float64]) -> NDArray[np.int64]:
        """Inverse of ``weights``."""
        return np.rint(weights / self.weight_unit).astype(np.int64)

    @property
    def weight_unit(self) -> np.float64:
        """The step of the grid of released weights, in real units."""
        return np.float64(2.0**-GRID_BITS * TARGETS.step / self.features.step)

    def logits(self, rows: NDArray[np.int16], weights: NDArray[np.float64]) -> NDArray[np.float32]:
        """The f of stored rows, shape (n, C), for real weights of FEATURES, shape (d, C)."""
        return self.f(rows, (self.psi(rows) * self.features.step) @ weights)

    def f(
        self, rows: NDArray[np.int16], change: NDArray[np.float64] | float
    ) -> NDArray[np.float32]:
        """The f of stored rows, shape (n, C): f_c, and what user weights change, W' psi or J w."""
        return (self.f_c(rows) * np.float64(TARGETS.step) + change).astype(np.float32)

    def to_json(self) -> dict[str, Any]:
        """JSON values; the canonical form is their RFC 8785 serialization."""
        values = {**asdict(self), "classes": list(self.classes)}
        return {f.name: values[f.name] for f in fields(self) if values[f.name] != f.default}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Inverse of ``to_json``."""
        noise = Noise(values.get("noise", Noise.ISOTROPIC))
        return cls(**{**values, "classes": tuple(values["classes"]), "noise": noise})


def _lattice_ridge(ridge: float, step: float, field: str) -> int:
    _check_range(field, ridge, step**2, 2.0**51 * step**2)
    return 2 * int(ridge / step**2) + 1


def _check_range(field: str, value: float, low: float, high: float) -> None:
    if not (isfinite(value) and low <= value <= high):
        raise InvalidInputError(
            field,
            f"{value:g} is out of range",
            f"use {low:.3g} to {high:.3g}, or 0 for the default",
        )


def _check_width(width: int, tangent_scope: str) -> None:
    field, limit = (
        ("user_weights.tangent_scope", LARGEST_ENTRANCE)
        if tangent_scope
        else ("user_weights.feature_map", LARGEST_WIDTH)
    )
    if width > limit:
        raise InvalidInputError(
            field, f"is {width} wide", f"choose one of at most {limit} features"
        )


def _check_noise(noise_scale: float) -> None:
    if not 0 <= noise_scale < inf:
        raise InvalidInputError(
            "user_weights.noise_scale",
            f"{noise_scale:g} is no standard deviation",
            "use a finite number, or 0 for no noise",
        )


def _check_classes(classes: tuple[str, ...]) -> None:
    if not 1 <= len(classes) <= LARGEST_CLASSES:
        raise InvalidInputError(
            "classes", f"{len(classes)} classes", f"name 1 to {LARGEST_CLASSES} classes"
        )
    if len(set(classes)) < len(classes) or not all(classes):
        raise InvalidInputError(
            "classes", "a label is empty or given twice", "give each class its own label"
        )
    if not all(label.isprintable() for label in classes):  # certificates show them to people
        raise InvalidInputError(
            "classes", "a label has a character that cannot be shown", "leave such out"
        )
