"""``make demo``: it runs, it shows what it claims, and it fails when a claim does."""

import importlib.util
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from rich.console import Console

DEMO = Path(__file__).parents[2] / "clients" / "demo"
PARTS = ("digits", "local_server", "narrator", "picture", "report", "story")


def run_python(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "COLUMNS": "80"}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


@pytest.fixture
def demo(monkeypatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(DEMO))
    spec = importlib.util.spec_from_file_location("unlearn_demo", DEMO / "__main__.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    for part in PARTS:
        sys.modules.pop(part, None)


@pytest.fixture
def a_story(demo):
    """One that holds, told without a server."""
    story = sys.modules[demo.Story.__module__]
    scores = np.eye(10, dtype=np.float32)[np.arange(30) % 10]
    look = story.Look(1500, True, b"s" * 32, b"w" * 32, scores, scores, 250)
    step = story.Step("A step", 1.0, look, [story.Claim("it is so", True)])
    return story.Story([step] * 5, float("inf"), 3)


def test_it_runs_and_every_claim_holds(tmp_path):
    ran = run_python(str(DEMO), cwd=tmp_path)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "claims hold" in ran.stdout
    assert "✗" not in ran.stdout
    assert ran.stdout.count("weights identical to") == 2
    assert max(map(len, ran.stdout.splitlines())) <= 80
    assert (tmp_path / "demo.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("missing", ["sklearn", "matplotlib"])
def test_without_its_packages_it_says_what_to_run(missing, tmp_path):
    code = f"""
import runpy, sys
sys.modules[{missing!r}] = None
sys.path.insert(0, {str(DEMO)!r})
runpy.run_path({str(DEMO)!r}, run_name="__main__")
"""
    ran = run_python("-c", code, cwd=tmp_path)
    assert ran.returncode == 1
    assert "make demo" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_claim_that_fails_fails_the_demo(demo, a_story, monkeypatch, tmp_path, capsys):
    false = sys.modules["story"].Claim("it is so", False)
    broken = replace(a_story, steps=[replace(a_story.steps[0], claims=[false])])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo, "_run", lambda *_: broken)
    assert demo.main() == 1
    shown = capsys.readouterr().out
    assert "✗ NOT it is so" in shown
    assert "1 of 1 claims FAILED" in shown
    assert not (tmp_path / "demo.png").exists()


def test_what_is_not_promised_is_said(demo, a_story, capsys):
    demo.report.show(Console(width=200), a_story, 297)
    assert "Not promised" in capsys.readouterr().out


def test_no_server_command_is_said_in_words(demo, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    assert demo.main() == 1
    assert "cannot run" in capsys.readouterr().out


def test_the_fresh_model_is_given_the_others_only_and_in_another_order(demo):
    digits = demo.load()
    remaining = [sample.sample_id for sample in digits.remaining]
    first = [sample.sample_id for sample in (*digits.core, *digits.users)]
    assert len(remaining) == 1470
    assert not {sample.subject_id for sample in digits.remaining} & set(digits.forgotten)
    assert remaining != [sample_id for sample_id in first if sample_id in set(remaining)]
    assert len(digits.unseen) == 297
    assert len(digits.erased) == 30
