"""``unlearn models``: create, look at and delete models."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from google.protobuf.json_format import Parse, ParseError

from unlearn.v1.model_pb2 import Sample, UserWeights
from unlearn_client.cli.app import App, pass_app
from unlearn_client.cli.reports import model_listing, model_report
from unlearn_client.cli.teaching import Group
from unlearn_client.cli.tuning import attempts
from unlearn_client.samples import read_samples


@click.group(cls=Group, example="unlearn models list")
def models() -> None:
    """Create models, look at them, delete them."""


def _user_weights(ctx: click.Context, option: click.Parameter, text: str | None) -> Any:
    try:
        return Parse(text, UserWeights()) if text else None
    except ParseError as error:
        raise click.BadParameter(str(error), ctx, option) from error


@models.command(
    example="""\
unlearn models create pets --core efficientnet-lite0 --class cat --class dog
unlearn models create pets --core efficientnet-lite0 --class cat --class dog \\
  --user-weights '{"featureMap": "large"}' --minimum-cohort 10
unlearn models create pets --core efficientnet-lite0 --class cat --class dog \\
  --tune-on public-photos/ --try-map small --try-map large"""
)
@click.argument("model")
@click.option("--core", required=True, help="The pretrained network it stands on.")
@click.option("--class", "classes", multiple=True, required=True, help="A label; repeat in order.")
@click.option(
    "--user-weights",
    callback=_user_weights,
    help="How user data enters, as JSON of the contract's UserWeights; default: the core's own.",
)
@click.option(
    "--minimum-cohort",
    type=click.IntRange(min=0),
    default=0,
    help="Erasures wait until this many subjects go together; default: never.",
)
@click.option(
    "--tune-on",
    type=click.Path(exists=True, path_type=Path),
    help="Samples that never need erasing, as for `samples add`: choose the feature map and the "
    "ridge by the error on each of them when it is left out. They are not kept.",
)
@click.option("--try-map", "feature_maps", multiple=True, help="A map to try; default: one.")
@click.option(
    "--head",
    "has_head",
    is_flag=True,
    help="Refuse a core without a head of its own for all the classes. One that has such a head "
    "uses it in any case.",
)
@pass_app
def create(
    app: App,
    model: str,
    core: str,
    classes: tuple[str, ...],
    user_weights: UserWeights | None,
    minimum_cohort: int,
    tune_on: Path | None,
    feature_maps: tuple[str, ...],
    has_head: bool,
) -> None:
    """Create an empty model MODEL on a core. It answers with the core alone at first."""
    if feature_maps and not tune_on:
        raise click.UsageError("--try-map needs --tune-on, the samples to try it on")
    if tune_on:
        user_weights = _tuned(
            app, core, classes, user_weights or UserWeights(), tune_on, feature_maps
        )
    created = app.client().create_model(
        model,
        core,
        classes,
        user_weights=user_weights,
        minimum_cohort=minimum_cohort,
        has_head=has_head,
    )
    app.show(created, model_report(created))


def _tuned(
    app: App,
    core: str,
    classes: tuple[str, ...],
    user_weights: UserWeights,
    path: Path,
    feature_maps: tuple[str, ...],
) -> UserWeights:
    """The same settings with the feature map and the ridge of the least error."""
    if user_weights.parametrization == UserWeights.TANGENT:
        raise click.UsageError("--tune-on is for FEATURES: TANGENT has no error in closed form")

    def samples() -> Iterator[Sample]:
        return read_samples(path, classes, subject_from=None, retention=Sample.CORE)

    if any(sample.retention != Sample.CORE for sample in samples()):
        raise click.UsageError("--tune-on: a manifest's row is not retained as core; leave it out")
    maps = feature_maps or (user_weights.feature_map,)
    with app.progress("Tuning"):
        tried = list(attempts(app.client(), core, classes, user_weights, maps, samples))
    best = min(tried, key=lambda each: each.error)
    click.echo(f"Chosen: {best.feature_map}, ridge {best.ridge:g}", err=True)
    user_weights.feature_map, user_weights.ridge = best.feature_map, best.ridge
    return user_weights


@models.command(example="unlearn models get pets")
@click.argument("model")
@pass_app
def get(app: App, model: str) -> None:
    """Show MODEL: its classes, how many samples it holds, what it serves."""
    found = app.client().get_model(model)
    app.show(found, model_report(found))


@models.command(
    "list",
    example="""\
unlearn models list
unlearn --json models list | jq -r .name""",
)
@pass_app
def list_(app: App) -> None:
    """Show every model."""
    app.show_all(app.client().list_models(), model_listing)


@models.command(example="unlearn models delete pets")
@click.argument("model")
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_app
def delete(app: App, model: str, yes: bool) -> None:
    """Delete MODEL with its samples, its releases and its keys. Nothing brings it back."""
    client = app.client()
    found = client.get_model(model)
    if not yes:
        question = f"Delete {found.name} and its {found.sample_count} samples for good?"
        click.confirm(question, abort=True, err=True)
    client.delete_model(found.name, found.etag)  # the etag: what was asked about is what goes
    app.show({"deleted": found.name}, f"Deleted {found.name}.")
