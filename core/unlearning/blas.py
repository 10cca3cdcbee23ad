"""The BLAS and LAPACK that the engine runs on: in place, and without the interpreter's lock.

SciPy's wrappers of them hold that lock, so that a factorization would keep a server from
answering anything else. Its compiled functions, which it exports for Cython, are called
through ctypes instead, which lets go of it. Matrices are float64 in Fortran order; of
symmetric ones only the lower triangle is read and written.
"""

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cython_blas, cython_lapack

_Floats = NDArray[np.float64]

_VECTORS = 3
"""A matrix product would repack the triangle, which takes longer than so many passes."""


def symmetric_product(A: _Floats, X: _Floats) -> _Floats:
    """A X for symmetric A (d, d) and X (d, k)."""
    d, k = X.shape
    product = np.zeros((d, k), order="F")
    if k > _VECTORS:
        _dsymm(b"L", b"L", d, k, 1.0, A, d, _whole(X), d, 0.0, product, d)
        return product
    for j in range(k):
        _dsymv(b"L", d, 1.0, A, d, _whole(X[:, j]), 1, 0.0, product[:, j], 1)
    return product


def add_outer_product(A: _Floats, alpha: float, Z: _Floats) -> None:
    """A += alpha Z Z' for symmetric A (d, d) and Z (d, k)."""
    d, k = Z.shape
    _dsyrk(b"L", b"N", d, k, alpha, _whole(Z), d, 1.0, A, d)


def add_symmetric_part(A: _Floats, Y: _Floats, Z: _Floats) -> None:
    """A += (Y Z' + Z Y') / 2 for symmetric A (d, d), Y and Z (d, k)."""
    d, k = Z.shape
    _dsyr2k(b"L", b"N", d, k, 0.5, _whole(Y), d, _whole(Z), d, 1.0, A, d)


def add_product(C: _Floats, alpha: float, A: _Floats, B: _Floats) -> None:
    """C += alpha A B for A (m, n) and B (n, k)."""
    (m, n), k = A.shape, B.shape[1]
    _dgemm(b"N", b"N", m, k, n, alpha, _whole(A), m, _whole(B), n, 1.0, C, m)


def product(A: _Floats, B: _Floats) -> _Floats:
    """A B for A (m, n), of either order, and B (n, k)."""
    (m, n), k = A.shape, B.shape[1]
    C = np.zeros((m, k), order="F")
    if A.flags.f_contiguous:
        add_product(C, 1.0, A, B)
    else:
        _dgemm(b"T", b"N", m, k, n, 1.0, _whole(A.T), n, _whole(B), n, 0.0, C, m)
    return C


def factor(A: _Floats) -> bool:
    """Puts the Cholesky factor K, A = K K', in the place of A; returns whether there is one."""
    return _lapack(_dpotrf, A)


def invert_factored(K: _Floats) -> bool:
    """Puts the inverse of K K' in the place of its factor; returns whether there is one."""
    return _lapack(_dpotri, K)


def _lapack(function: Callable[..., None], A: _Floats) -> bool:
    info = ctypes.c_int()
    function(b"L", len(A), A, len(A), info)
    return info.value == 0


def invert_triangle(K: _Floats) -> bool:
    """Puts the inverse of a factor in its place; returns whether there is one."""
    info = ctypes.c_int()
    _dtrtri(b"L", b"N", len(K), K, len(K), info)
    return info.value == 0


def triangle_product(T: _Floats, B: _Floats, *, transpose: bool = False) -> _Floats:
    """T B, or T' B, for a lower triangle T (k, k) and B (k, n)."""
    X = np.array(B, np.float64, order="F")
    _dtrmm(b"L", b"L", b"T" if transpose else b"N", b"N", *X.shape, 1.0, T, len(T), X, len(X))
    return X


def solve_factored(K: _Floats, B: _Floats) -> _Floats:
    """K^-1 B for a factor K (k, k) and B (k, n)."""
    return _triangular(b"L", b"N", K, B)


def solve_factored_transposed(K: _Floats, B: _Floats) -> _Floats:
    """K^-T B for a factor K (k, k) and B (k, n)."""
    return _triangular(b"L", b"T", K, B)


def solve_factored_from_right(B: _Floats, K: _Floats) -> _Floats:
    """B K^-T for a factor K (k, k) and B (n, k)."""
    return _triangular(b"R", b"T", K, B)


def _triangular(side: bytes, transpose: bytes, K: _Floats, B: _Floats) -> _Floats:
    X = np.array(B, np.float64, order="F")
    _dtrsm(side, b"L", transpose, b"N", *X.shape, 1.0, K, len(K), X, len(X))
    return X


def _whole(A: _Floats) -> _Floats:
    """A in Fortran order; copied only if it is not."""
    return np.asfortranarray(A, np.float64)


def _exported(module: Any, name: str) -> Callable[..., None]:
    """The compiled function of a name, taking Python's values where it takes references."""
    capsule = module.__pyx_capi__[name]
    signature = _capsule_name(capsule)
    types = [ctypes.c_void_p] * (signature.count(b",") + 1)
    call = ctypes.CFUNCTYPE(None, *types)(_capsule_pointer(capsule, signature))

    def function(*values: object) -> None:
        references = [_reference(value) for value in values]
        call(*(ctypes.addressof(reference) for reference in references))

    return function


def _reference(value: object) -> Any:
    match value:
        case bytes():
            return ctypes.c_char(value)
        case int():
            return ctypes.c_int(value)
        case float():
            return ctypes.c_double(value)
        case np.ndarray() if value.flags.f_contiguous and value.dtype == np.float64:
            return (ctypes.c_char * 0).from_address(value.ctypes.data)
        case ctypes.c_int():
            return value
        case _:
            raise TypeError(f"{type(value)} in another layout cannot be passed to BLAS")


_capsule_name = ctypes.pythonapi.PyCapsule_GetName
_capsule_name.restype, _capsule_name.argtypes = ctypes.c_char_p, [ctypes.py_object]
_capsule_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_capsule_pointer.restype = ctypes.c_void_p
_capsule_pointer.argtypes = [ctypes.py_object, ctypes.c_char_p]

_dsymm = _exported(cython_blas, "dsymm")
_dsymv = _exported(cython_blas, "dsymv")
_dsyrk = _exported(cython_blas, "dsyrk")
_dsyr2k = _exported(cython_blas, "dsyr2k")
_dgemm = _exported(cython_blas, "dgemm")
_dtrsm = _exported(cython_blas, "dtrsm")
_dtrmm = _exported(cython_blas, "dtrmm")
_dpotrf = _exported(cython_lapack, "dpotrf")
_dpotri = _exported(cython_lapack, "dpotri")
_dtrtri = _exported(cython_lapack, "dtrtri")
