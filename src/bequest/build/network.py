"""Whether the Hugging Face hub can be asked at all."""

from __future__ import annotations

_SECONDS = 5


def hub_answers() -> bool:
    """Whether the hub answers within 5 s.

    Its own clients retry for most of a minute before they say that there is no network.
    """
    import huggingface_hub

    try:
        huggingface_hub.get_session().head(huggingface_hub.constants.ENDPOINT, timeout=_SECONDS)
    except Exception:
        return False
    return True
