"""A server under a load that does not wait for it: at 80 % of its peak, beyond it, and after.

Calls are due on a schedule that knows nothing of the server, and each counts from when it was
due: a server that stands still for a second is late for all that would have come in that second,
not for one call (G. Tene's "coordinated omission").
"""
