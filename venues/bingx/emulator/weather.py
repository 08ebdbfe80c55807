"""What may go wrong at any moment while routers are killed against the emulator, in real time.

Each of these is over within seconds, as whoever is killed every two seconds sees little of what lasts. What is likely
stands more than once. Bans and rate limits stand apart: after a real one the adapter keeps away for minutes, in which
its process does nothing but wait to be killed, and the next one, which knows nothing of it, knocks.
"""

from __future__ import annotations

from typing import Final

WEATHER: Final = (
    # carried out, and nobody is told, or late
    *("answer-never=p=0.5,for_ms=1500",) * 3,
    *("answer-late=ms=300,p=0.5,for_ms=2000",) * 2,
    *("answer-late=ms=2500,p=0.3,for_ms=1500",) * 2,
    *("answer-reset=p=0.5,for_ms=1500",) * 3,
    *("answer-http=status=504,p=0.5,for_ms=1500",) * 2,
    "answer-http=status=502,p=0.5,for_ms=1500",
    "answer-busy=code=109500,p=0.4,for_ms=1500",
    "answer-busy=code=80012,p=0.4,for_ms=1500",
    "answer-garbled=p=0.4,for_ms=1500",
    # not carried out, or much later
    "request-lost=p=0.4,for_ms=1500",
    *("request-late=ms=300,p=0.5,for_ms=2000",) * 2,
    *("request-late=ms=3000,p=0.3,for_ms=1500",) * 2,
    "refuse-busy=code=109500,p=0.4,for_ms=1500",
    "refuse-http=status=503,p=0.4,for_ms=1500",
    "settling=for_ms=500",
    # answers that say little
    "ack-bare=p=0.5,for_ms=2000",
    "ack-pending=p=0.5,for_ms=2000",
    "ack-lacks-fill=p=0.5,for_ms=2000",
    # what the exchange does
    "cancel-races-fill=p=0.5,for_ms=2000",
    "post-only-late=p=0.5,for_ms=2000",
    "duplicate-code=code=101481,for_ms=4000",
    "leftover-expired=for_ms=4000",
    # whoever looks sees nothing, or late
    *("lookup-lag=ms=1000,for_ms=4000",) * 2,
    "history-lag=ms=3000,for_ms=4000",
    "read-http=status=504,p=0.4,for_ms=1500",
    "read-busy=code=109500,p=0.4,for_ms=1500",
    "read-late=ms=1000,p=0.4,for_ms=1500",
    "read-never=p=0.2,for_ms=1500",
    "maintenance=for_ms=800",
    # pushes
    *("push-drop=p=0.5,for_ms=3000",) * 2,
    *("push-duplicate=p=0.5,for_ms=3000",) * 2,
    *("push-late=ms=500,p=0.5,for_ms=3000",) * 2,
    "push-swap=ms=200,p=0.5,for_ms=3000",
    "push-first=ms=50,p=0.5,for_ms=3000",
    "push-bare=p=0.5,for_ms=3000",
    "push-no-client-id=p=0.5,for_ms=3000",
    "snapshot-noise=for_ms=2000",
    # sockets and books
    "drop-sockets=which=all",
    "drop-sockets=which=account,close=yes",
    "drop-sockets=which=market",
    "zombie=which=account,for_ms=3000",
    "zombie=which=market,for_ms=2000",
    "refuse-socket=for_ms=1000",
    "expire-listen-keys",
    "market-silent=for_ms=1500",
    "market-late=ms=1000,for_ms=1500",
    "book-loss=p=0.05,for_ms=2000",
    "book-crossed=count=1,for_ms=2000",
    # bytes
    "pieces=bytes_each=7,gap_ms=1,count=5",
    "cut-off=after_bytes=120,count=1",
    "reset=after_bytes=0,count=1",
    "reset=after_bytes=0,hits=standing",
    "half-open=after_bytes=60,count=1",
)

BANS: Final = (
    "banned=for_ms=1500",
    "banned=count=1",
    "firewall=for_ms=1500",
    "firewall=count=1",
    "rate-limited=count=2,for_ms=2000",
    "rate-limited=code=109429,count=1,on=DELETE /openApi/swap/v2/trade/order,for_ms=4000",
    "rate-limited=code=429,p=0.3,for_ms=1500",
    "risk-control=count=2,for_ms=4000",
    "banned=for_ms=6000 + drop-sockets=which=all",
    "firewall=for_ms=6000 + drop-sockets=which=all",
)
"""BingX shuts out: the address, an endpoint, or the account from trading; the last two from everything, sockets too."""
