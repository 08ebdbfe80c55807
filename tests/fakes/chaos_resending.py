"""A router's process that sends what an earlier life has sent again, under fresh ids: it trusts nobody's memory."""

import sys
from pathlib import Path

import msgspec

from sor.adapter import NewOrder, Scheduler, Sink, VenueAdapter
from sor.chaos.worker import main
from sor.ids import ClOrdId
from venues.bingx.adapter import BingxVenue
from venues.bingx.options import read

SENT = "sent"


class Resending(BingxVenue):
    """Writes down what it sends, and sends the last of it again once it is connected."""

    file = Path()

    def submit(self, order: NewOrder) -> None:
        with self.file.open("ab") as file:
            file.write(msgspec.json.encode(order) + b"\n")
        super().submit(order)

    async def connect(self, sink: Sink, scheduler: Scheduler) -> None:
        await super().connect(sink, scheduler)
        if self.file.exists():
            last = msgspec.json.decode(self.file.read_bytes().splitlines()[-1], type=NewOrder)
            super().submit(msgspec.structs.replace(last, cl_ord_id=ClOrdId(f"{last.cl_ord_id}2")))


def opens(options: dict[str, str]) -> VenueAdapter:
    """The broken adapter; its memory lies beside the job."""
    Resending.file = Path(sys.argv[1]).parent / SENT
    return Resending(read(options))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], open_venue=opens))
