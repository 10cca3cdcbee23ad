"""The Open Inference Protocol v2, generated from the proto beside it."""
