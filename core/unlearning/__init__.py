"""The mathematics of exact unlearning: data in, data out.

No server, no database, no clock. See ``rounding`` for why released weights are a
function of the remaining rows alone.
"""
