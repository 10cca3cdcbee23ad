"""What every adapter must keep to: inherit from ``Conformance``, and give it a package.

Whoever writes an adapter of their own can run it: it asks for nothing but a package and samples.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from unlearning.cores import Core, folder
from unlearning.cores.adapters import adapter
from unlearning.cores.package import Package
from unlearning.errors import CoreError, InvalidInputError
from unlearning.lattice import feature_lattice

OTHERS: dict[str, list[Any]] = {
    "image": [["a text"], [[1.0]]],
    "text": [[b"an image"], [[1.0]]],
    "features": [["a text"], [b"an image"]],
}
"""Samples that are none of an input's."""


def load(package: Package) -> Core:
    return adapter(package.adapter, package.name).load(package)


def take(samples: Any, rows: Sequence[int]) -> Any:
    if isinstance(samples, np.ndarray):
        return samples[list(rows)]
    return [samples[row] for row in rows]


class Conformance:
    """Tests of a core; ``samples`` are ten or so, all different."""

    @pytest.fixture(scope="class")
    @classmethod
    def package(cls) -> Package:
        raise NotImplementedError

    @pytest.fixture(scope="class")
    @classmethod
    def samples(cls) -> Any:
        raise NotImplementedError

    @pytest.fixture(scope="class")
    @classmethod
    def core(cls, package: Package) -> Core:
        return load(package)

    @pytest.fixture(scope="class")
    @classmethod
    def psi(cls, core: Core, samples: Any) -> NDArray[np.float32]:
        return core.extract("", samples)

    def test_rows_are_float32_as_wide_as_said_and_end_in_one(self, core, samples, psi):
        assert psi.dtype == np.float32
        assert psi.shape == (len(samples), core.width(core.feature_map))
        assert np.isfinite(psi).all()
        assert (psi[:, -1] == 1).all()
        assert len(np.unique(psi, axis=0)) == len(samples)

    def test_no_samples_give_no_rows(self, core, samples):
        assert core.extract("", samples[:0]).shape == (0, core.width(""))

    def test_a_map_has_one_name(self, core):
        assert core.resolve("") == core.feature_map == core.resolve(core.feature_map)
        for wrong in ("no such map", "nolayer:1x1", core.feature_map + "+" + core.feature_map):
            with pytest.raises(InvalidInputError) as error:
                core.resolve(wrong)
            assert error.value.field == "user_weights.feature_map"

    def test_a_row_depends_not_on_its_place(self, core, samples, psi):
        order = np.random.default_rng(8).permutation(len(samples))
        assert (core.extract("", take(samples, order)) == psi[order]).all()

    def test_a_row_depends_not_on_its_neighbours(self, core, samples, psi):
        alone = [core.extract("", take(samples, [row]))[0] for row in range(len(samples))]
        assert (np.array(alone) == psi).all()

    def test_a_row_depends_not_on_other_threads(self, core, samples, psi):
        with ThreadPoolExecutor(4) as pool:
            for again in pool.map(lambda _: core.extract("", samples), range(4)):
                assert (again == psi).all()

    def test_a_package_that_went_to_disk_computes_the_same_bits(
        self, package, samples, psi, tmp_path: Path
    ):
        folder.write(package, tmp_path / "copy")
        copy = load(folder.read(tmp_path / "copy", "copy").open())
        assert copy.digest == package.digest
        assert (copy.extract("", samples) == psi).all()

    def test_default_features_are_in_proportion(self, core, psi):
        assert 0.1 < np.sqrt(np.mean(psi[:, :-1] ** 2)) < 10
        assert np.mean(np.abs(psi) > core.feature_bound) < 0.01

    def test_samples_of_another_kind_are_refused(self, core):
        for other in OTHERS[core.input]:
            with pytest.raises(InvalidInputError) as error:
                core.extract("", other)
            assert error.value.field == core.input

    def test_weights_must_be_there_and_in_their_shapes(self, package):
        if not package.weights:
            pytest.skip("has no weights")
        name, tensor = next((n, t) for n, t in package.weights.items() if t.size > 1)
        rest = {other: package.weights[other] for other in package.weights if other != name}
        for weights in (
            rest,
            {**rest, name: tensor[:-1]},
            {**package.weights, "another": tensor},
        ):
            with pytest.raises(CoreError, match=f"core {package.name}: "):
                load(Package(package.name, package.description, weights, package.files))

    def test_layers_must_be_those_of_the_network(self, package):
        layers: Any = package.description.get("layers")
        if layers is None:
            pytest.skip("has no layers")
        name, layer = next(reversed(layers.items()))
        for changed in (
            {key: layers[key] for key in layers if key != name},
            {**layers, name: {**layer, "channels": layer["channels"] + 1}},
            {**layers, name: {**layer, "scale": 0}},
            {**layers, name: {**layer, "scale": "1"}},
        ):
            description = {**package.description, "layers": changed}
            with pytest.raises(CoreError, match=rf"description\.layers\.{name}"):
                load(Package(package.name, description, package.weights, package.files))

    def test_logits_come_behind_psi(self, core, samples, psi):
        head = core.classes[::-1][:3]
        outputs = core.extract("", samples, head)
        assert (outputs[:, : psi.shape[1]] == psi).all()
        logits = outputs[:, psi.shape[1] :]
        assert logits.shape == (len(samples), len(head))
        assert (np.abs(logits) < 64).all()
        for row in (0, len(samples) - 1):
            assert (core.extract("", take(samples, [row]), head)[0] == outputs[row]).all()
        for column, label in enumerate(head):
            assert (core.extract("", samples, [label])[:, -1] == logits[:, column]).all()

    def test_a_class_that_no_head_has_is_said_by_name(self, core, samples):
        with pytest.raises(InvalidInputError, match=core.name) as error:
            core.extract("", samples, [*core.classes[:1], "no such class"])
        assert error.value.field == "has_head"

    def test_the_head_must_be_that_of_the_network(self, package):
        head: Any = package.description.get("head")
        if head is None:
            pytest.skip("has no head")
        for changed in (
            {**head, "layer": "no such layer"},
            {**head, "layer": next(iter(package.description["layers"]))},
            {**head, "classes": head["classes"][1:]},
            {**head, "classes": []},
            {**head, "classes": [*head["classes"][1:], 7]},
            [],
        ):
            description = {**package.description, "head": changed}
            with pytest.raises(CoreError, match=r"description\.head"):
                load(Package(package.name, description, package.weights, package.files))

    def test_rmatvec_is_the_adjoint_or_lacking_is_said_by_name(self, core, samples):
        if not core.tangent_scope:
            for use in (core.entrance, lambda scope: core.linearize(scope, 2, 1.0)):
                with pytest.raises(InvalidInputError, match=core.name):
                    use("head")
            return
        lattice = feature_lattice(core.feature_bound)
        scope = core.tangent_scope
        rows = lattice.round(core.extract(core.entrance(scope), take(samples, [0, 1])))
        rng = np.random.default_rng(4)
        for head in {(), core.classes[:3]}:
            jacobian = core.linearize(scope, 3, lattice.step, head).jacobian(
                rows.astype(np.int16), double=True
            )
            v, u = rng.normal(size=jacobian.parameters), rng.normal(size=(2, 3))
            forth, back = (jacobian.matvec(v) * u).sum(), v @ jacobian.rmatvec(u)
            scale = np.linalg.norm(jacobian.matvec(v)) * np.linalg.norm(u)
            assert abs(forth - back) < 1e-12 * scale
