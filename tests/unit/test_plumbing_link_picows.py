"""What is special about the picows link; that it is a pipe as the others are shows test_plumbing_link_socket.py."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest.importorskip("picows")

from picows import WSListener

from venues.plumbing.link_picows import _Connection


def test_a_connection_overrides_what_picows_calls() -> None:
    # picows finds its callbacks by name: one that was renamed would never be called, and nobody would be told.
    assert _Connection.on_ws_connected is not WSListener.on_ws_connected
    assert _Connection.on_ws_frame is not WSListener.on_ws_frame
    assert _Connection.on_ws_disconnected is not WSListener.on_ws_disconnected


def test_without_picows_the_link_says_what_it_needs() -> None:
    program = "import sys; sys.modules['picows'] = None; import venues.plumbing.link_picows"
    ran = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True)
    assert ran.returncode == 1
    assert ran.stderr.splitlines()[-1] == (
        "ModuleNotFoundError: this link needs picows, which the extra `fast` brings: pip install 'sor[fast]'"
    )
