"""The client moves its frames in two ways, and nobody can tell: at once, or as aiohttp documents it."""

from __future__ import annotations

import pytest

from tickwire_client import link


@pytest.fixture(params=["at once", "as documented"])
def frames_either_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """For modules whose clients have real connections."""
    if request.param == "as documented":
        monkeypatch.setattr(link, "intake_for", lambda *arguments, **options: None)
        monkeypatch.setattr(link, "websocket_mask", None)
