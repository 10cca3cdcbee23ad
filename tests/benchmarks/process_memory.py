"""What the kernel says of a process's memory."""

from pathlib import Path


def resident_bytes(pid: int | str = "self") -> int:
    """Resident memory now."""
    return _status_bytes(pid, "VmRSS")


def peak_bytes(pid: int | str = "self") -> int:
    """The most memory that was ever resident."""
    return _status_bytes(pid, "VmHWM")


def _status_bytes(pid: int | str, field: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"the kernel does not tell {field}")
