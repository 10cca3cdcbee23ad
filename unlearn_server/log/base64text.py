"""Base64 as every format here has it: the standard alphabet of RFC 4648, padded."""

import base64


def encoded(content: bytes) -> str:
    """Bytes as text."""
    return base64.b64encode(content).decode()
