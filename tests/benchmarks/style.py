"""How every picture here looks."""

from typing import Any

# Okabe and Ito's colours, which colour-blind people can tell apart.
OURS, REFIT = "#0072b2", "#d55e00"
INK, MUTED, PALE = "#1f2937", "#595959", "#d9d9d9"
STYLE: Any = {  # matplotlib types it by every setting there is
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 10,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.titlelocation": "left",
    "grid.color": PALE,
    "grid.linewidth": 0.6,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "lines.linewidth": 2,
    "figure.facecolor": "white",
    # Text as text and names that stay: a file changes only where a figure does.
    "svg.fonttype": "none",
    "svg.hashsalt": "unlearn",
}
