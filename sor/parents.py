"""Every parent of a journal, by number and by id: those in working memory, and those that are over, packed.

A parent that is over and of which nothing has been heard for a time is *retired*: it and its orders leave working
memory, and stay as bytes (`sor.packed`). It is *recalled*, as it was, when anything is heard of it after all, so that
what is late meets the same machines as what is not. After another, much longer time it is *forgotten*: what turns up
then is nobody's here (`sor.foreign`), and of its id only a digest stays, so that it never trades again. When each
happens is a function of facts (`sor.retirement`).

Reading does not recall: whoever reads a retired parent is handed what the bytes say.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from hashlib import blake2b
from weakref import WeakValueDictionary

import msgspec

from sor.ids import ParentId
from sor.packed import Packed, Packer, kept_whole, strip, unpack
from sor.parent import Parent


class Parents:
    """All that are not forgotten, in the order of their numbers; numbers count from 1, places from 0.

    given      how many numbers have been given.
    working    those in working memory, by number.
    at_work    those that have not ended, or have an order at a venue all the same: who goes through many goes through
               these.
    keep       whoever reads a whole journal keeps them whole, also those that the router has forgotten.
    """

    def __init__(self, *, keep: bool) -> None:
        self.given = 0
        self.working: dict[int, Parent] = {}
        self.at_work: dict[int, Parent] = {}
        self._keep = keep
        self.packer = Packer()
        self._retired: OrderedDict[int, Packed] = OrderedDict()
        self._numbers: dict[ParentId, int] = {}
        self._spent: set[int] = set()
        # A handle must see what becomes of the parent that it holds: where somebody holds one, that one is recalled.
        self._whole: MutableMapping[int, Parent] = {} if keep else WeakValueDictionary()

    # --- reading --------------------------------------------------------------------------------------------------

    def __getitem__(self, place: int) -> Parent:
        """The parent at a place; from the end for a negative one. `IndexError` for one that is not there."""
        parent = self.get(place + 1 if place >= 0 else self.given + place + 1)
        if parent is None:
            raise IndexError(place)
        return parent

    def get(self, no: int) -> Parent | None:
        """The parent of a number, to be read only; None for one that is forgotten, or never was."""
        parent = self.working.get(no)
        if parent is None:
            parent = self._whole.get(no)
        if parent is None:
            packed = self._retired.get(no)
            if packed is not None:
                parent = self._whole[no] = unpack(no, packed)
        return parent

    def __iter__(self) -> Iterator[Parent]:
        return (parent for no in sorted(self._known()) if (parent := self.get(no)) is not None)

    def __len__(self) -> int:
        return len(self._known()) if self._keep else len(self.working) + len(self._retired)

    def _known(self) -> Mapping[int, object]:
        return {**self.working, **self._retired, **(self._whole if self._keep else {})}

    def number(self, parent_id: ParentId) -> int | None:
        """The number of an id, None for one that is forgotten, or never was."""
        return self._numbers.get(parent_id)

    def is_spent(self, parent_id: ParentId) -> bool:
        """Whether an id is that of a forgotten parent; of 10^8 of them, one new id in 10^11 is taken for one."""
        return bool(self._spent) and _digest(parent_id) in self._spent

    def ids(self) -> Mapping[ParentId, int]:
        """The numbers of all ids that are known."""
        return self._numbers

    @property
    def retired(self) -> Mapping[int, Packed]:
        """Those that are packed, by number, in the order in which they were."""
        return self._retired

    def oldest(self) -> tuple[int, Packed] | None:
        """Number and record of the one that has been retired for longest, None without any."""
        return next(iter(self._retired.items()), None)

    @property
    def spent(self) -> Iterable[int]:
        """Digests of the ids of those that are forgotten, in no order."""
        return self._spent

    @property
    def keeps(self) -> bool:
        """Whether everything is kept whole."""
        return self._keep

    # --- what the router does ---------------------------------------------------------------------------------------

    def add(self, parent: Parent) -> None:
        """A new one, whose number is the next."""
        assert parent.no == self.given + 1, parent.no
        self.given = parent.no
        self.working[parent.no] = self.at_work[parent.no] = parent
        self._numbers[parent.id] = parent.no

    def restore(
        self,
        *,
        given: int,
        working: Iterable[Parent],
        at_work: Iterable[int],
        retired: Iterable[tuple[int, Packed]],
        spent: Iterable[int],
    ) -> None:
        """Those of a router that went before, into what is empty. The orders are those of the mappings here."""
        assert not self.given, self.given
        self.given = given
        self.working = {parent.no: parent for parent in working}
        self.at_work = {no: self.working[no] for no in at_work}
        self._retired = OrderedDict(retired)
        self._spent = set(spent)
        ids = {no: parent.id for no, parent in self.working.items()}
        ids |= {no: packed.parent_id for no, packed in self._retired.items()}
        self._numbers = {ids[no]: no for no in sorted(ids)}

    def retire(self, parent: Parent, now_ns: int) -> None:
        """It leaves working memory."""
        parent.recalled = False
        del self.working[parent.no]
        if self._keep:
            self._retired[parent.no] = kept_whole(parent, now_ns)
        else:
            self._retired[parent.no] = self.packer.pack(parent, now_ns)
            strip(parent)
        self._whole[parent.no] = parent

    def recall(self, no: int) -> Parent | None:
        """A retired one comes back; None for one that is not retired."""
        if no not in self._retired:
            return None
        parent = self.get(no)
        assert parent is not None, no
        del self._retired[no]
        self.working[no] = parent
        return parent

    def retire_anew(self, no: int, now_ns: int) -> None:
        """A retired one is remembered for as long again."""
        self._retired[no] = msgspec.structs.replace(self._retired[no], since_ns=now_ns)
        self._retired.move_to_end(no)

    def forget(self, no: int) -> None:
        """A retired one is nobody's any more."""
        if self._keep:
            self.get(no)  # it may be packed still, where a checkpoint has it so
        packed = self._retired.pop(no)
        if self._keep:
            return
        self._whole.pop(no, None)
        if self._numbers.get(packed.parent_id) == no:
            del self._numbers[packed.parent_id]
            self._spent.add(_digest(packed.parent_id))


def _digest(parent_id: ParentId) -> int:
    """A caller's id in 64 bits, the same in every process."""
    return int.from_bytes(blake2b(parent_id.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


class ParentsById(Mapping[ParentId, Parent]):
    """The same by the caller's ids."""

    def __init__(self, parents: Parents) -> None:
        self._parents = parents

    def __getitem__(self, parent_id: ParentId) -> Parent:
        parent = self._parents.get(self._parents.number(parent_id) or 0)
        if parent is None:
            raise KeyError(parent_id)
        return parent

    def __contains__(self, parent_id: object) -> bool:
        return parent_id in self._parents.ids()

    def __iter__(self) -> Iterator[ParentId]:
        return iter(self._parents.ids())

    def __len__(self) -> int:
        return len(self._parents.ids())
