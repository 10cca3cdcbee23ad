"""The command: what it asks the server, what it prints, and how it ends."""

import re
from importlib.metadata import entry_points

import click
import grpc
import pytest
from click.testing import CliRunner

from unlearn.v1.erasure_pb2 import Erasure, InformationBound
from unlearn_client.cli import main
from unlearn_client.cli.words import bound_words, due_words

ERASURE = "3f0c8a52-9d0e-4a57-8a3e-0c5d1f6b7a90"
SALT = "ab" * 32


def all_commands(command: click.Command, path: tuple[str, ...] = ()):
    yield path, command
    if isinstance(command, click.Group):
        for name, child in command.commands.items():
            yield from all_commands(child, (*path, name))


COMMANDS = dict(all_commands(main))


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_help_has_an_example(path):
    result = CliRunner().invoke(main, [*path, "--help"])
    assert result.exit_code == 0
    assert "Example:\n  unlearn " in result.stdout


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_example_is_of_a_command_there_is(path):
    for line in COMMANDS[path].example.splitlines():
        if line.startswith("unlearn"):
            words = re.sub(r"unlearn (--json )?", "", line).split()
            assert tuple(words[:1]) in COMMANDS
            assert not path or tuple(words[: len(path)]) == path


def test_help_lists_the_exit_codes():
    shown = CliRunner().invoke(main, ["--help"]).stdout
    assert all(f"\n  {code}  " in shown.partition("Exit codes:")[2] for code in range(5))


def test_the_address_may_come_from_the_environment(book):
    environment = {"UNLEARN_ADDRESS": book.address}
    assert CliRunner(env=environment).invoke(main, ["models", "list"]).exit_code == 0


def test_models_create(run_json):
    words = ["pets", "--core", "lite0", "--class", "cat", "--class", "dog"]
    weights = ["--user-weights", '{"noiseScale": 0.5}', "--minimum-cohort", 2]
    (created,) = run_json("models", "create", *words, *weights)
    assert created["name"] == "models/pets"
    assert created["classes"] == ["cat", "dog"]
    assert created["userWeights"]["noiseScale"] == 0.5
    assert created["minimumCohort"] == "2"


def test_models_create_refuses_unknown_weights(run):
    words = ["models", "create", "pets", "--core", "c", "--class", "a"]
    assert run(*words, "--user-weights", '{"nose": 1}').exit_code == 2


def test_models_get_and_list(run, run_json):
    assert "cat, dog, 7" in run("models", "get", "pets").stdout
    assert "models/b" in run("models", "list").stdout
    assert [model["name"] for model in run_json("models", "list")] == ["models/a", "models/b"]


def test_models_delete_asks_and_names_what_it_saw(run, book):
    refused = run("models", "delete", "pets", answer="n\n")
    assert "its 3 samples" in refused.stderr
    assert refused.exit_code == 1
    assert not book.requests["DeleteModel"]
    assert run("models", "delete", "pets", "--yes").exit_code == 0
    assert book.requests["DeleteModel"][0].etag == "v1"


def test_samples_add(run, run_json, book, tmp_path):
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "alice-1.png").write_bytes(b"image")
    words = ["samples", "add", "pets", tmp_path]
    assert "1 samples added, 0 were there" in run(*words, "--subject-from", "^([a-z]+)-").stdout
    assert run_json(*words, "--retention", "core") == [{"added": "1", "unchanged": "0"}]
    assert book.requests["AddSamples"][0][0].samples[0].subject_id == "alice"


def test_samples_add_says_what_is_missing_or_wrong(run, tmp_path):
    manifest = tmp_path / "samples.csv"
    manifest.write_text("sample_id,subject_id,label,f0\nalice,s,bird,1\n")
    assert run("samples", "add", "pets", tmp_path).exit_code == 2
    assert run("samples", "add", "pets", tmp_path, "--subject-from", "(").exit_code == 2
    assert run("samples", "add", "pets", manifest, "--subject-from", "x").exit_code == 2
    bad = run("samples", "add", "pets", manifest)
    assert bad.exit_code == 2
    assert "samples.csv, row 1, column label" in bad.stderr
    assert "alice" not in bad.stderr


def test_release(run, run_json):
    assert "models/pets/releases/1" in run("release", "pets").stdout
    assert run_json("release", "pets")[0]["state"] == "SERVING"


def test_predict_images_and_features(run, run_json, tmp_path):
    image, table = tmp_path / "a.png", tmp_path / "b.csv"
    image.write_bytes(b"image")
    table.write_text("f0,f1\n1,2\n3,4\n")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "c.jpg").write_bytes(b"image")
    answers = run_json("predict", "pets", image, folder, table)
    expected = [str(image), str(folder / "c.jpg"), f"{table}, row 1", f"{table}, row 2"]
    assert [answer["input"] for answer in answers] == expected
    assert answers[3]["label"] == "cat"
    assert answers[3]["logits"] == {"cat": 1.0, "dog": 0.0, "7": 0.0}
    assert "cat    1.000" in run("predict", "pets", table).stdout


def test_predict_wants_features_in_a_table(run, tmp_path):
    table = tmp_path / "b.csv"
    table.write_text("x\n1\n")
    assert run("predict", "pets", table).exit_code == 2


def test_erase_says_what_was_done_in_plain_words(run, book):
    result = run("erase", "--subject", "alice", "--model", "pets", "--regulation", "gdpr")
    assert result.exit_code == 0
    words = " ".join(result.stdout.split())
    assert "models/pets 20 EXACT 0 nats left; best attack is a coin toss (50.0 %)" in words
    assert "2030-02-28 12:00 UTC" in words
    assert "kept the release before" in words
    assert "alice" not in result.output
    sent = book.requests["CreateErasure"][0]
    assert list(sent.erasure.selection.subjects.ids) == ["alice"]
    assert f"--request-id {sent.request_id} --salt {sent.commitment_salt.hex()}" in result.stderr


def test_erase_can_be_repeated_from_what_it_printed(run, book, failure):
    book.failures["CreateErasure"] = [failure(grpc.StatusCode.DEADLINE_EXCEEDED)]
    lost = run("erase", "--subject", "alice")
    assert lost.exit_code == 4
    keep = re.search(r"--request-id \S+ --salt \S+", lost.stderr)[0]
    assert run("erase", "--subject", "alice", *keep.split()).exit_code == 0
    first, second = book.requests["CreateErasure"]
    assert first == second


@pytest.mark.parametrize(("state", "code"), [("SUCCEEDED", 0), ("NEEDS_OPERATOR", 1), ("HELD", 1)])
def test_erase_waits_and_tells_by_its_exit_code(run, book, state, code):
    book.states = [Erasure.PENDING, Erasure.RUNNING, Erasure.State.Value(state)]
    result = run("erase", "--subject", "alice", "--wait")
    assert result.exit_code == code
    assert state in result.stdout


def test_erase_as_json(run_json):
    words = ["--request-id", ERASURE, "--salt", SALT, "--method", "zero"]
    (erasure,) = run_json("erase", "--all", "--model", "pets", "--yes", *words)
    assert erasure["name"] == f"erasures/{ERASURE}"
    assert erasure["commitmentSalt"] == SALT
    assert erasure["outcomes"][0]["bound"]["differencingGaussianDp"] == "Infinity"


def test_erase_all_asks(run, book):
    refused = run("erase", "--all", "--model", "pets", answer="n\n")
    assert "Erase all user data of pets?" in refused.stderr
    assert refused.exit_code == 1
    assert not book.requests["CreateErasure"]
    assert run("erase", "--all", "--model", "pets", answer="y\n").exit_code == 0
    assert book.requests["CreateErasure"][0].erasure.selection.all_user_data


def test_erase_dry_run_changes_nothing(run, book):
    result = run("erase", "--sample", "a", "--dry-run")
    assert "nothing was changed" in result.stdout
    assert result.stderr == ""
    assert book.requests["CreateErasure"][0].validate_only


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--all"],
        ["--subject", "a", "--sample", "b"],
        ["--subject", "a", "--salt", "ab"],
        ["--subject", "a", "--salt", "zz" * 32],
        ["--subject", "a", "--request-id", "1"],
    ],
)
def test_erase_refuses_what_it_cannot_mean(run, words):
    assert run("erase", *words).exit_code == 2


def test_erasures(run, run_json, book):
    assert "erasures/x" in run("erasures", "list").stdout
    assert len(run_json("erasures", "list", "--state", "needs_operator")) == 1
    assert book.requests["ListErasures"][1].states == [Erasure.NEEDS_OPERATOR]
    assert ERASURE in run("erasures", "get", ERASURE).stdout
    assert run_json("erasures", "cancel", ERASURE)[0]["state"] == "CANCELLED"
    assert run_json("erasures", "retry", ERASURE)[0]["state"] == "PENDING"


def test_erasures_watch_is_a_stream(run, run_json, book):
    book.states = [Erasure.PENDING, Erasure.SUCCEEDED]
    changes = run_json("erasures", "watch", ERASURE)
    assert [change["state"] for change in changes] == ["PENDING", "SUCCEEDED"]
    book.states = [Erasure.REFUSED]
    assert run("erasures", "watch", ERASURE).exit_code == 1


def test_audit(run, run_json, book):
    assert run("audit", "pets").exit_code == 0
    assert run_json("audit", "pets", "--salt", SALT)[0]["consistent"] is True
    book.consistent = False
    result = run("audit", "pets")
    assert result.exit_code == 1
    assert "NOT CONSISTENT" in result.stdout


def test_a_refusal_is_explained(run, book, failure):
    details = {"fix": "lift the hold", "hold": "holds/1"}
    refusal = failure(grpc.StatusCode.FAILED_PRECONDITION, "a hold applies", "HELD", details)
    book.failures["CancelErasure"] = [refusal] * 2
    result = run("erasures", "cancel", ERASURE)
    assert result.exit_code == 3
    shown = "Error: HELD: a hold applies\n  hold: holds/1\n  Fix: lift the hold\n"
    assert result.stderr == shown
    as_json = run("--json", "erasures", "cancel", ERASURE)
    assert '"reason": "HELD"' in as_json.stderr
    assert as_json.stdout == ""


def test_a_server_that_is_not_there():
    result = CliRunner().invoke(main, ["--address", "127.0.0.1:1", "models", "create", "pets"])
    assert result.exit_code == 2
    result = CliRunner().invoke(main, ["--address", "127.0.0.1:1", "erasures", "cancel", "x"])
    assert result.exit_code == 4
    assert "Fix: see that the server runs" in result.stderr


@pytest.mark.parametrize(
    ("nats", "accuracy", "words"),
    [
        (0, 0.5, "0 nats left; best attack is a coin toss (50.0 %)"),
        (0.1, 0.58846, "at most 0.11 nats left; best attack is right 58.9 % of the time"),
        (0.0, 0.50001, "0 nats left; best attack is right 50.1 % of the time"),
        (1.23e-12, 0.5, "at most 0.0000000000013 nats left"),
    ],
)
def test_bounds_are_rounded_up(nats, accuracy, words):
    assert words in bound_words(InformationBound(nats=nats, attack_accuracy=accuracy))


def test_the_command_is_installed_under_its_name():
    (command,) = entry_points(group="console_scripts", name="unlearn")
    assert command.load() is main


def test_holds(run, run_json, book):
    (placed,) = run_json("holds", "place", "alice", "--reason", "a lawsuit")
    assert placed["name"] == "holds/h"
    shown = run("holds", "place", "alice", "--reason", "a lawsuit")
    assert "a lawsuit" in shown.stdout
    assert "alice" not in shown.output
    assert run("holds", "place", "alice").exit_code == 2
    assert "holds/2" in run("holds", "list").stdout
    assert "2030-02-28 12:00 UTC" in run("holds", "lift", "h").stdout
    assert book.requests["LiftHold"][0].name == "holds/h"


def test_suppressions(run, book):
    lifted = run("suppressions", "lift", "pets", "alice", "--reason", "is back")
    assert "models/pets" in lifted.stdout
    assert "alice" not in lifted.output
    [request] = book.requests["LiftSuppression"]
    told = (request.model, request.subject_id, request.reason)
    assert told == ("models/pets", "alice", "is back")
    assert run("suppressions", "lift", "pets", "alice").exit_code == 2


def test_erasures_extend_and_refuse(run, book):
    words = ["erasures", "extend", ERASURE, "--reason", "many"]
    extended = run(*words, "--due", "2030-04-28")
    assert "from 2020-02-28 12:00 UTC (many)" in extended.stdout
    assert book.requests["ExtendErasure"][0].due_time.ToJsonString() == "2030-04-28T00:00:00Z"
    assert run(*words).exit_code == 2
    words = ["erasures", "refuse", ERASURE, "--ground", "gdpr-17-3-b", "--reason", "tax law"]
    refused = " ".join(run(*words).stdout.split())
    assert "REFUSED (tax law)" in refused
    assert "Ground gdpr-17-3-b Certificate certificates/7" in refused


@pytest.mark.parametrize(
    ("due", "complete", "late"),
    [
        ("2020-02-28T12:00:00Z", None, ", OVERDUE"),
        ("2990-02-28T12:00:00Z", None, ""),
        ("2020-02-28T12:00:00Z", "2020-02-28T12:00:00Z", ""),
        ("2020-02-28T12:00:00Z", "2020-02-28T12:00:01Z", ", LATE"),
    ],
)
def test_what_is_late_is_seen(due, complete, late):
    erasure = Erasure()
    erasure.due_time.FromJsonString(due)
    if complete:
        erasure.complete_time.FromJsonString(complete)
    assert due_words(erasure) == f"{due[:10]} 12:00 UTC{late}"
