"""The files that tell what was measured."""

import json
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def write(folder: Path, name: str, values: dict[str, Any], page: str) -> None:
    """Writes values as JSON, and their page beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(values, indent=2) + "\n")
    (folder / f"{name}.md").write_text(page)
