"""Rigs with something planted in them: a venue that breaks its contract, an adapter that misunderstands."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from sor.adapter import Scheduler
from sor.rig import Draw, Fault, FaultKind, Rig
from venues.bingx.emulator import rig as bingx
from venues.bingx.emulator.rig import BingxRig, OpenVenue
from venues.simulated import rig as simulated
from venues.simulated.rig import SimulatedRig


class Overfilling:
    """A simulated venue that fills every filled order once more."""

    faults: tuple[FaultKind, ...] = simulated.FAULTS

    def __call__(self, *, seed: int, draw: Draw, scheduler: Scheduler, folder: Path) -> Rig:
        rig = SimulatedRig(seed=seed, draw=draw, scheduler=scheduler, folder=folder)
        rig.switch(Fault(label="overfill", kind="overfill", way="", odds=1.0, seed=0, at_s=None))
        return rig


class Spoken:
    """BingX by another adapter."""

    faults: tuple[FaultKind, ...] = bingx.FAULTS

    def __init__(self, open_venue: OpenVenue) -> None:
        self._open = partial(BingxRig, open_venue=open_venue)

    def __call__(self, *, seed: int, draw: Draw, scheduler: Scheduler, folder: Path) -> Rig:
        return self._open(seed=seed, draw=draw, scheduler=scheduler, folder=folder)
