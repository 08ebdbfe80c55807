"""What `sor explain` says of a decision, and that every decision can be made anew."""

import json
import re
from pathlib import Path

import msgspec
import pytest

from policies.maker_first import MakerFirst
from sor.cli.main import run
from sor.cli.picture import OwnOrders, Standing, book_picture
from sor.cli.words import compared, possible
from sor.invariants import apply
from sor.params import Params
from sor.policy import Alternative, Decision
from sor.revisit import Revisit
from sor.snapshot import View
from sor.units import NS
from tests.fakes.views import BASELINE, INSTRUMENT, NOW_NS, market, view

BIDS = ((100_000, 1_000), (99_999, 2_000), (99_998, 4_000), (99_990, 9_000))
ASKS = ((100_001, 100), (100_002, 1), (100_004, 500), (100_005, 700))


def picture(*own: Standing) -> tuple[str, ...]:
    return book_picture(INSTRUMENT, market(bids=BIDS, asks=ASKS), own)


def test_the_picture_of_a_book() -> None:
    assert picture() == (
        "ask 10000.4  0.500  ###",
        "ask 10000.2  0.001  #",
        "ask 10000.1  0.100  #",
        "bid 10000.0  1.000  ######",
        "bid  9999.9  2.000  ############",
        "bid  9999.8  4.000  ########################",
    )
    assert book_picture(INSTRUMENT, market(bids=()), ()) == ()


def test_own_orders_are_marked_where_they_stand_also_outside_of_what_is_drawn() -> None:
    told = picture(
        Standing(99_999, 60, 1_500),
        Standing(99_999, 10, None),
        Standing(99_990, 5, 0),
        Standing(99_000, 7, None),
        Standing(100_003, 8, 3),
    )
    assert [line for line in told if "ours" in line] == [
        f"ask 10000.3  0.000  {'':24}  < ours 0.008, 0.003 ahead",
        f"bid  9999.9  2.000  {'#' * 5:24}  < ours 0.060, 1.500 ahead  < ours 0.010",
        f"bid  9999.0  9.000  {'#' * 24}  < ours 0.005, 0.000 ahead",
        f"bid  9900.0  0.000  {'':24}  < ours 0.007",
    ]
    assert len(told) == 6 + 3


def test_own_orders_are_followed_through_fills_moves_and_ends() -> None:
    own = OwnOrders()
    own.placed("a", price_ticks=10, lots=5)
    own.placed("b", price_ticks=11, lots=5)
    own.filled("a", 2)
    own.moved("a", 12)
    own.filled("unknown", 2)
    assert own.standing({"a": 7}) == (Standing(12, 3, 7), Standing(11, 5, None))
    own.filled("a", 3)
    own.gone("b")
    assert own.standing({}) == ()


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (view(), "possible: rest or take"),
        (view(may_rest=False), "possible: take, as may not rest forbids more"),
        (
            view(market(bids=((99_000, 1),), asks=((101_000, 1),)), may_rest=False),
            "possible: take, as spread too wide and may not rest forbids more",
        ),
        (view(market(recv_ns=NOW_NS - 20 * NS)), "possible: nothing, as book stale forbids more"),
    ],
)
def test_what_was_possible_is_told_whatever_the_policy_asked_for(seen: View, words: str) -> None:
    nothing = Decision(placements=(), revisit=Revisit(), reason="any")
    ruled = apply(nothing, seen, BASELINE)
    assert (possible(ruled.decision), ruled.vetoes) == (words, ())


def test_the_cheapest_way_is_named_where_two_costs_are_known() -> None:
    ways = (
        Alternative("cross", 5.25),
        Alternative("join", 3.0),
        Alternative("rest", None),
        Alternative("improve", 2.5),
    )
    assert compared(ways) == "least expected cost: improve, 0.500 bps below join"
    assert compared(ways[1:3]) == ""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Journals of two parents of the demo."""
    folder = tmp_path_factory.mktemp("demo")
    assert run(["demo", "--parents", "2", "--policies", "maker_first", "--runs", str(folder)]) == 0
    return folder


def said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = run(list(words))
    ended = capsys.readouterr()
    return code, ended.out, ended.err


def test_a_story_shows_the_book_and_what_was_possible(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = said(capsys, "explain", "maker_first-0002", "--runs", str(runs))
    assert code == 0
    assert re.search(r"^ +saw bid .*; a (calm|busy|wide) market\n +ask [0-9.]+ +[0-9.]+  #", out, re.MULTILINE)
    assert re.search(r"^ +(bid|ask) [0-9.]+ +[0-9.]+  #*  +< ours 0\.\d+", out, re.MULTILINE)
    assert " possible: rest or take\n" in out


def test_every_decision_of_a_journal_is_made_anew(
    runs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (journal,) = (str(path) for path in runs.glob("*/maker_first"))
    code, out, _ = said(capsys, "journal", "verify", journal, "--decisions")
    (number,) = re.findall(r"(\d+) decisions were made anew, each the same bit for bit", out)
    assert (code, int(number) > 2) == (0, True)
    code, out, _ = said(capsys, "journal", "verify", journal, "--decisions", "--json")
    assert (code, json.loads(out)["decisions"]) == (0, int(number))
    assert "decisions" not in json.loads(said(capsys, "journal", "verify", journal, "--json")[1])
    rightly, asked = MakerFirst.decide, []

    def otherwise(self: MakerFirst, seen: View, params: Params) -> Decision:
        asked.append(seen)
        decision = rightly(self, seen, params)
        return msgspec.structs.replace(decision, propensity=0.5) if len(asked) == 2 else decision

    monkeypatch.setattr(MakerFirst, "decide", otherwise)
    code, _, err = said(capsys, "journal", "verify", journal, "--decisions")
    assert code == 1
    assert "decision 2 of this journal, of parent 'maker_first-000" in err
    assert "the first difference is in propensity: 1.0, now 0.5. Nothing was sent" in err
