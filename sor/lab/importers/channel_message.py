"""A message of a channel: `arg` says of which, `data` what it says. OKX's form, which Bitget's v1 shares."""

from __future__ import annotations

import msgspec

SIDES = {"buy": 1, "sell": -1}
"""The taker's side, as these venues spell it."""


class Channel(msgspec.Struct, frozen=True, rename="camel"):
    """Which channel, of which instrument; `inst_type` is Bitget's alone."""

    inst_type: str = ""
    channel: str = ""
    inst_id: str = ""


class ChannelMessage(msgspec.Struct):
    """`action` is `snapshot` or `update`; `data` is of the channel's own shape."""

    arg: Channel = Channel()
    action: str = ""
    data: msgspec.Raw = msgspec.Raw()


_decode = msgspec.json.Decoder(ChannelMessage).decode


def message_of(text: bytes) -> ChannelMessage | None:
    """The message; None for `pong` and for answers to subscriptions, which say nothing. Raises as `msgspec`."""
    if not text.startswith(b"{"):
        return None
    message = _decode(text)
    return message if message.data else None
