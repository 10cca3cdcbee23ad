"""The transparency log's formats: what is signed, hashed and published, as pure functions."""
