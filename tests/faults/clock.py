"""A clock that jumps, ahead and back, under a server's feet."""

import re
from datetime import timedelta
from pathlib import Path

from tests.faults.faults import Fault, after_answers, end
from tests.faults.servers import Servers
from tests.faults.told import Told

_JUMPS = (timedelta(hours=1), timedelta(days=-400), timedelta(days=400), timedelta(hours=-1))
_YEAR = re.compile(r'"timestamp": "(\d{4})-')


def clock_jumps(library: Path, answers: int = 60) -> Fault:
    """Takes ``clock.c`` compiled, beside which it can make a link."""
    shift = library.with_suffix(".shift")

    def happen(servers: Servers, told: Told) -> None:
        servers.start({"LD_PRELOAD": str(library), "CLOCK_SHIFT": str(shift)})
        servers.wait_until_it_serves()
        for jump in _JUMPS:
            _point(shift, jump)
            after_answers(told, answers)
        shift.unlink()
        if len(set(_YEAR.findall(servers.said))) < 3:
            told.violations.append("the server's clock did not jump")
        end(servers, told, answers)

    return Fault("the clock jumps", happen)


def _point(shift: Path, jump: timedelta) -> None:
    """Whoever reads the link finds the old jump or the new one."""
    following = shift.with_suffix(".next")
    following.symlink_to(str(int(jump.total_seconds())))
    following.replace(shift)
