import pytest
from hypothesis import given
from hypothesis import strategies as st

from sor.errors import CallerError
from sor.ids import EPOCH_BOUND, SESSION_BOUND, ClOrdIdCodec, OwnedId, to_base36

DASHED = ClOrdIdCodec()
TIGHT = ClOrdIdCodec(prefix="S", separator="", max_len=32)


@pytest.mark.parametrize(("number", "width", "text"), [(0, 0, "0"), (35, 0, "z"), (36, 0, "10"), (36, 4, "0010")])
def test_base_36(number: int, width: int, text: str) -> None:
    assert to_base36(number, width) == text


def test_negative_parts_are_refused() -> None:
    with pytest.raises(CallerError, match="must not be negative, got -1"):
        to_base36(-1)


def test_an_id_by_hand() -> None:
    # 46_655 is zzz in base 36, 1_296 is 100, 37 is 11.
    assert DASHED.encode(46_655, 1_296, 37, closing=True) == "sor000zzz000-000100-0011x"
    assert DASHED.encode(46_655, 1_296, 37, closing=True, session=36**3 + 37) == "sor000zzz011-000100-0011x"
    assert TIGHT.encode(46_655, 1_296, 37, closing=False) == "S000zzz0000001000011e"


@given(
    epoch=st.integers(0, EPOCH_BOUND - 1),
    parent_no=st.integers(1, 36**6 - 1),
    child_no=st.integers(1, 36**4 - 1),
    closing=st.booleans(),
    session=st.integers(0, SESSION_BOUND - 1),
)
def test_what_is_encoded_reads_back(epoch: int, parent_no: int, child_no: int, closing: bool, session: int) -> None:
    owned = OwnedId(epoch=epoch, parent_no=parent_no, child_no=child_no, closing=closing, session=session)
    text = DASHED.encode(epoch, parent_no, child_no, closing=closing, session=session)
    assert len(text) == 25
    assert DASHED.decode(text) == DASHED.decode(text.upper()) == owned  # some venues change the case


def test_an_id_too_long_for_the_venue_is_refused() -> None:
    with pytest.raises(CallerError, match="longer than the venue's 20; nothing was sent"):
        ClOrdIdCodec(max_len=20).encode(1, 1, 1, closing=False)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sor",
        "web-order-17",
        "sor000007000-000001-0001",  # no action
        "sor000007000-000001-0001b",
        "sor000007000-000001-00001e",
        "sor+00007000-000001-0001e",  # int() would take a sign, a blank and an underscore
        "sor 00007000-000001-0001e",
        "sor0_0007000-000001-0001e",
        "sor٠00007000-000001-0001e",
    ],
)
def test_what_is_not_ours_is_not_read(text: str) -> None:
    assert DASHED.decode(text) is None
