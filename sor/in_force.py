"""What is in force: the venues' instruments, param-sets, experiments, and which fits outcomes contradict.

All of it came as a fact, and stays until another fact replaces it. Nothing here is about one parent.
"""

from __future__ import annotations

from sor.commands import Alarm, AnyWish
from sor.events import ArmStopped, ExperimentAdopted, FitContradicted, FitTrusted, InstrumentAdopted, ParamsAdopted
from sor.experiment.assigned import Assigned
from sor.experiment.definition import parse_experiment
from sor.experiment.running import Running
from sor.explore import PREFIX
from sor.ids import Symbol, VenueName
from sor.instruments import Instrument
from sor.limits import Limits, limits_of
from sor.params import Params, ParamSet, parse
from sor.parent import Parent
from sor.snapshot import Contradiction


class InForce:
    """What everybody goes by, as a fold of facts. Alarms are appended to `out`.

    default_set     the set of parents that name none. The session says.
    experiments     all that were ever started, by name.
    doubted_fits    fits that outcomes contradict, by policy and digest of the set; an exploring policy counts as the
                    one that it varies.
    """

    def __init__(self, out: list[AnyWish]) -> None:
        self._out = out
        self.instruments: dict[tuple[VenueName, Symbol], Instrument] = {}
        self.sets: dict[str, ParamSet] = {}
        self.default_set = ""
        self.experiments: dict[str, Running] = {}
        self.doubted_fits: dict[tuple[str, str], FitContradicted] = {}
        self.in_use: dict[tuple[str, VenueName, Symbol], tuple[Params, Limits]] = {}

    # --- instruments and param-sets -------------------------------------------------------------------------------

    def adopt_instrument(self, fact: InstrumentAdopted) -> Instrument | None:
        """A venue lists an instrument, or has changed it; returns the one before where other steps count now."""
        new = fact.instrument
        old = self.instruments.get((new.venue, new.symbol))
        self.instruments[new.venue, new.symbol] = new
        if old is None or (old.tick_size, old.lot_size, old.multiplier) == (
            new.tick_size,
            new.lot_size,
            new.multiplier,
        ):
            return None
        return old

    def resolved(self, name: str, instrument: Instrument, now_ns: int) -> tuple[Params, Limits]:
        """A param-set and the machine's limits for one instrument now.

        What has run out without a successor is refused at the door, but not taken from parents at work: while anything
        they were given is missing, everything stays as it was.
        """
        key = (name, instrument.venue, instrument.symbol)
        params = self.sets[name].resolve(instrument.venue, instrument.symbol, now_ns=now_ns)
        found = self.in_use.get(key)
        if found is None or (found[0] is not params and not params.missing(tuple(found[0]))):
            found = self.in_use[key] = (params, limits_of(params))
        return found

    def limits(self, parent: Parent, now_ns: int) -> Limits:
        """The machine's limits for a parent."""
        return self.resolved(parent.set_name, parent.instrument, now_ns)[1]

    def adopt_params(self, fact: ParamsAdopted) -> None:
        """A set comes into force under a name, unless parents that work by the name would lose what they need."""
        new = parse(fact.text, where=f"journal record of {fact.name}")
        old = self.sets.get(fact.name)
        lost = () if old is None else new.lost(old)
        if old is not None and lost:
            text = f"param-set {fact.name}: {old.set_id} stays, as {new.set_id} lacks {', '.join(lost)}"
            self._out.append(Alarm(0, VenueName(""), text, halts=False))
            return
        self.sets[fact.name] = new
        if old is not None and old.digest != new.digest:
            for running in self.experiments.values():
                running.set_changed(fact.name)
        self.in_use = {key: kept for key, kept in self.in_use.items() if key[0] != fact.name}

    # --- fits -------------------------------------------------------------------------------------------------------

    def contradict_fit(self, fact: FitContradicted) -> None:
        """Outcomes contradict a fit: its policy is told of it with every view from now on."""
        self.doubted_fits[fact.policy, fact.digest] = fact
        self._out.append(Alarm(0, VenueName(""), fact.text, halts=False))

    def trust_fit(self, fact: FitTrusted) -> None:
        """Somebody has looked and takes responsibility: nothing contradicts this set any more."""
        self.doubted_fits = {key: told for key, told in self.doubted_fits.items() if told.set_id != fact.set_id}

    def doubt_of(self, policy: str, params: Params) -> Contradiction | None:
        """What contradicts the fit that a policy rests by with these values, None while nothing does."""
        if not self.doubted_fits:
            return None
        told = self.doubted_fits.get((policy.removeprefix(PREFIX), params.digest))
        return None if told is None else Contradiction(told.orders, told.filled, told.expected)

    # --- experiments ------------------------------------------------------------------------------------------------

    def adopt_experiment(self, fact: ExperimentAdopted) -> None:
        """An experiment takes parents from now on."""
        experiment = parse_experiment(fact.text, where=f"journal record of {fact.name}")
        self.experiments[fact.name] = Running(experiment=experiment, since_ns=fact.now_ns)

    def stop_arm(self, fact: ArmStopped) -> None:
        """An arm takes no more parents; with "" for its name, the whole experiment."""
        running = self.experiments[fact.experiment]
        if not running.stops(fact.arm):
            return
        if fact.arm:
            running.stopped[fact.arm] = fact.text
        else:
            running.ended = fact.text
        what = f"arm {fact.arm} of experiment {fact.experiment}" if fact.arm else f"experiment {fact.experiment}"
        text = f"{what} takes no more parents, those that it has go on: {fact.text}"
        self._out.append(Alarm(0, VenueName(""), text, halts=False))

    def is_shadowed(self, assigned: Assigned) -> bool:
        """Whether what a parent of this arm decides is set beside what shadows would."""
        running = self.experiments[assigned.experiment]
        return bool(assigned.arm and running.experiment.shadows and not running.ended)

    def is_counted_on(self, parent: Parent) -> bool:
        """Whether a parent is in what an experiment that goes on says of its arms."""
        if parent.assigned is None:
            return False
        running = self.experiments.get(parent.assigned.experiment)
        return running is not None and not running.ended
