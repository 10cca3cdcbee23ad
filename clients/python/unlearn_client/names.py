"""Resource names (AIP-122): people may write the bare id, the wire has the full name."""

MODELS = "models/"
ERASURES = "erasures/"
CERTIFICATES = "certificates/"
HOLDS = "holds/"


def model_name(model: str) -> str:
    """``digits`` or ``models/digits`` as ``models/digits``."""
    return _with_prefix(MODELS, model)


def model_id(model: str) -> str:
    """``digits`` or ``models/digits`` as ``digits``."""
    return model.removeprefix(MODELS)


def erasure_name(erasure: str) -> str:
    """A request id, or ``erasures/{request_id}``, as the latter."""
    return _with_prefix(ERASURES, erasure)


def hold_name(hold: str) -> str:
    """A hold's id, or ``holds/{hold_id}``, as the latter."""
    return _with_prefix(HOLDS, hold)


def certificate_name(certificate: str) -> str:
    """A log index, or ``certificates/{index}``, as the latter."""
    return _with_prefix(CERTIFICATES, certificate)


def release_name(release: str) -> str:
    """A release's name; a model's name or id stands for the release it serves."""
    name = model_name(release)
    return name if "/releases/" in name else f"{name}/releases/-"


def _with_prefix(prefix: str, name: str) -> str:
    return name if name.startswith(prefix) else prefix + name
