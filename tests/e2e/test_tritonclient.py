"""NVIDIA's tritonclient, as it is published, is answered by our server.

It needs another protobuf than ours, hence a virtual environment of its own:

    python3 -m venv ~/triton && ~/triton/bin/pip install 'tritonclient[grpc]'
    UNLEARN_TRITON_PYTHON=~/triton/bin/python pytest tests/e2e/test_tritonclient.py
"""

import io
import json
import os
import subprocess

import numpy as np
import pytest
from PIL import Image

from unlearn.v1.model_pb2 import Sample

CLASSES = ["cat", "dog", "bird"]

SCRIPT = """
import json, sys
import numpy as np
import tritonclient.grpc as triton

address, features_model, image_model, image_file, rows = sys.argv[1:]
client = triton.InferenceServerClient(address)
rows = np.array(json.loads(rows), np.float32)
image = open(image_file, "rb").read()

features = triton.InferInput("features", list(rows.shape), "FP32")
features.set_data_from_numpy(rows)
images = triton.InferInput("image", [2], "BYTES")
images.set_data_from_numpy(np.array([image, image], dtype=np.object_))
by_features = client.infer(features_model, [features], request_id="7")
by_image = client.infer(
    image_model, [images], outputs=[triton.InferRequestedOutput("logits")], model_version="1"
)
try:
    client.infer("nobody", [features])
except triton.InferenceServerException as error:
    refused = error.status()
json.dump({
    "live": client.is_server_live(),
    "ready": [client.is_server_ready(), client.is_model_ready(features_model),
              client.is_model_ready("nobody")],
    "server": client.get_server_metadata(as_json=True)["name"],
    "metadata": client.get_model_metadata(features_model, as_json=True),
    "logits": by_features.as_numpy("logits").tolist(),
    "classes": [label.decode() for label in by_features.as_numpy("class")],
    "version": by_features.get_response().model_version,
    "image logits": by_image.as_numpy("logits").tolist(),
    "image outputs": [output.name for output in by_image.get_response().outputs],
    "refused": refused,
}, sys.stdout)
"""


@pytest.fixture
def triton_python() -> str:
    python = os.environ.get("UNLEARN_TRITON_PYTHON")
    if not python:
        pytest.skip("UNLEARN_TRITON_PYTHON names no Python that has tritonclient[grpc]")
    return python


def test_tritonclient_reads_metadata_and_predicts_features_and_images(
    triton_python, server, filled, fresh_id, make_sample, truth_of, tmp_path
):
    samples = [make_sample(f"s{i}", f"p{i}") for i in range(9)]
    features_model, image_model = filled(samples), fresh_id()
    buffer = io.BytesIO()
    pixels = np.random.default_rng(3).integers(0, 256, (50, 70, 3), np.uint8)
    Image.fromarray(pixels).save(buffer, "PNG")
    (tmp_path / "image.png").write_bytes(buffer.getvalue())
    server.client.create_model(image_model, "efficientnet-lite0", CLASSES)
    server.client.add_samples(
        image_model, [Sample(sample_id="a", subject_id="b", image=buffer.getvalue(), label=2)]
    )
    server.client.create_release(image_model)
    rows = np.random.default_rng(4).normal(size=(4, 3)).astype(np.float32)

    done = subprocess.run(
        [
            *(triton_python, "-c", SCRIPT, f"localhost:{server.port}"),
            *(features_model, image_model, str(tmp_path / "image.png")),
            json.dumps(rows.tolist()),
        ],
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    expected = truth_of(server.client.get_model(features_model)).logits(samples, rows)
    np.testing.assert_allclose(told["logits"], expected, rtol=1e-6, atol=1e-6)
    assert told["classes"] == [CLASSES[i] for i in expected.argmax(axis=1)]
    assert told["version"] == "1"
    assert told["live"]
    assert told["ready"] == [True, True, False]
    assert told["server"] == "unlearn-server"
    assert told["metadata"]["inputs"] == [
        {"name": "features", "datatype": "FP32", "shape": ["-1", "3"]}
    ]
    ours = server.client.predict(image_model, images=[buffer.getvalue()]).logits[0]
    assert told["image logits"] == [ours.tolist()] * 2
    assert ours.argmax() == 2
    assert told["image outputs"] == ["logits"]
    assert told["refused"] == "StatusCode.NOT_FOUND"
