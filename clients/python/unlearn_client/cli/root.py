"""The command's root: global options, what the exit codes mean, and the commands."""

from typing import Any

import click

from unlearn_client.cli.app import App
from unlearn_client.cli.audit import audit
from unlearn_client.cli.certificates import certificates
from unlearn_client.cli.curate import curate
from unlearn_client.cli.erase import erase
from unlearn_client.cli.erasures import erasures
from unlearn_client.cli.failures import BAD_INPUT, exit_code, report
from unlearn_client.cli.holds import holds
from unlearn_client.cli.models import models
from unlearn_client.cli.monitor import monitor
from unlearn_client.cli.predict import predict
from unlearn_client.cli.preview import preview
from unlearn_client.cli.report import write_report
from unlearn_client.cli.samples import release, samples
from unlearn_client.cli.suppressions import suppressions
from unlearn_client.cli.teaching import Group, write_verbatim
from unlearn_client.cli.value import value
from unlearn_client.cli.verify import verify
from unlearn_client.cli.witness import witness
from unlearn_client.errors import SampleFileError, UnlearnError

EXAMPLE = """\
unlearn models create pets --core efficientnet-lite0 --class cat --class dog
unlearn samples add pets photos/ --subject-from '^([a-z]+)-'
unlearn release pets
unlearn erase --subject alice --wait
unlearn audit pets
unlearn certificates get 17 --out evidence/
unlearn verify evidence/certificate-17.* --key keys.json"""

EXIT_CODES = """\
0  done, and the answer is yes
1  the answer is no: an audit found a difference, an erasure did not succeed,
   a certificate was refused, a question was answered with no
2  wrong usage, or an input file that cannot be used
3  the server refused
4  the server could not be reached, or took too long"""


class _BadInput(click.ClickException):
    exit_code = BAD_INPUT


class _Root(Group):
    """Turns the failures of all commands into words and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command.

        Raises:
            click.ClickException: its input file cannot be used.
        """
        try:
            return super().invoke(ctx)
        except UnlearnError as error:
            report(error, ctx.find_object(App))
            ctx.exit(exit_code(error))
        except SampleFileError as error:
            raise _BadInput(str(error)) from error

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the example and the exit codes."""
        super().format_epilog(ctx, formatter)
        write_verbatim(formatter, "Exit codes", EXIT_CODES)


@click.group(cls=_Root, example=EXAMPLE, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--address",
    envvar="UNLEARN_ADDRESS",
    default="localhost:50051",
    show_default=True,
    show_envvar=True,
    help="The server's host:port.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=30.0,
    show_default=True,
    help="Seconds until a call is given up.",
)
@click.option(
    "--json", "as_json", is_flag=True, help="One JSON document a line for each result, no tables."
)
@click.version_option(package_name="unlearn-server")
@click.pass_context
def main(ctx: click.Context, address: str, timeout: float, as_json: bool) -> None:
    """Erase people from machine-learning models, and see that it was done."""
    ctx.obj = App(address, timeout, as_json)


for command in (
    *(models, samples, release, predict, erase, erasures, holds, suppressions),
    *(value, curate, preview),
    *(audit, certificates, verify, write_report, monitor, witness),
):
    main.add_command(command)
