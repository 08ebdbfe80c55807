"""The experiments of a journal as the core knows them: a fold of facts."""

from __future__ import annotations

import msgspec

from sor.experiment.definition import Experiment


class Running(msgspec.Struct, kw_only=True):
    """One experiment since it was started.

    stopped    arms that take nobody any more, with the reason. ended: why the whole of it takes nobody, "" while it
               does. changed: arms whose param-set got another content meanwhile, so that they are a mixture.
    """

    experiment: Experiment
    since_ns: int
    stopped: dict[str, str] = msgspec.field(default_factory=dict)
    ended: str = ""
    changed: list[str] = msgspec.field(default_factory=list)

    def set_changed(self, name: str) -> None:
        """A param-set has another content from now on."""
        if not self.ended:
            of_arms = [arm.name for arm in self.experiment.arms if arm.param_set == name]
            self.changed += [arm for arm in of_arms if arm not in self.changed]

    def stops(self, arm: str) -> bool:
        """Whether stopping this arm, or all of them with "", changes anything."""
        return not self.ended and arm not in self.stopped
