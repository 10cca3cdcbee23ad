"""A report as one web page: nothing is fetched for it, nothing in it runs, and it prints."""

from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from unlearn_server.reports.report import Report
from unlearn_server.reports.sections import document


def render(report: Report) -> bytes:
    """The page, in UTF-8."""
    return _template().render(document=document(report)).encode()


@cache
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.jinja")
