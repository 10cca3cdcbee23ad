"""What a restore replays: each certificate with the request behind it, in a file that only grows.

The log's leaves lie in the database, which a disk may take with it. The journal lies elsewhere,
and a leaf is in it, synced, before the transaction commits that appends it to the log. So what
anybody was shown is in it, and a restored server goes on with the same log, in which nobody who
was erased since the backup is there again.
"""

from unlearn_server.journal.keeping import Journal

__all__ = ["Journal"]
