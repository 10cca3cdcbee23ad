"""Speed, measured beside peers: ``run`` for ``make bench``, ``imagenet`` for the whole service.

``forgetting`` measures no speed but what is left of samples that were to be forgotten.

NumPy and SciPy bring an OpenBLAS each, whose threads spin for tens of milliseconds after their
work and slow whoever uses the other one. Here they fall asleep sooner. A Ridge refit, which
uses both, was a fifth faster for it; what uses one is as fast as by itself.
"""

import os

THREAD_TIMEOUT = "OPENBLAS_THREAD_TIMEOUT"
"""Read when a library is loaded; in powers of two of clock cycles."""

os.environ[THREAD_TIMEOUT] = "18"
