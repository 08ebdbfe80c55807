import json
import re
import sys
import tomllib
from importlib.metadata import Distribution, EntryPoint
from pathlib import Path

import pytest
from click.testing import CliRunner

from policies.cost_aware import CostAware
from policies.cross import Cross
from policies.immediate import Immediate
from policies.maker_first import MakerFirst
from policies.plain_limit import PlainLimit
from policies.twap import Twap
from sor.cli.common import Output
from sor.cli.policies import policies
from sor.commands import Cancel, Place
from sor.decide import decide
from sor.errors import CallerError
from sor.events import ParamsAdopted
from sor.invariants import apply
from sor.orders import Tif
from sor.params import ParamStore
from sor.plugins import POLICIES, SCHEDULES, VENUES, Plugins
from sor.policy import Rest, Take
from sor.reasons import TimeoutBound
from sor.units import NS
from tests.fakes.bench import Bench, outward, param_text, parent_order
from tests.fakes.views import BASELINE, NOW_NS, SYMBOL, VENUE, resting, view
from tests.tidy.tree import ROOT


def install(where: Path, package: str, **groups: dict[str, str]) -> None:
    """A distribution as an installer would leave it: metadata and entry points."""
    info = where / f"{package.replace('-', '_')}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    lines = []
    for group, entries in groups.items():
        lines += [f"[sor.{group}]", *(f"{name} = {target}" for name, target in entries.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory that is searched for packages, as long as the test runs."""
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def module(site: Path, name: str, source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (site / f"{name}.py").write_text(source)
    monkeypatch.delitem(sys.modules, name, raising=False)


def test_ours_are_found_like_anybody_elses() -> None:
    plugins = Plugins.installed()
    found = {name: type(policy) for name, policy in plugins.policies.items()}
    ours = {"cross": Cross, "maker_first": MakerFirst, "cost_aware": CostAware, "plain_limit": PlainLimit}
    assert ours.items() <= found.items()
    assert {name: type(one) for name, one in plugins.schedules.items()} == {"immediate": Immediate, "twap": Twap}
    assert "simulated" in plugins.names(VENUES)
    assert plugins.policy("cross") is plugins.policies["cross"]
    assert len(plugins.schedules) == 2


def test_an_unknown_name_lists_what_there_is() -> None:
    plugins = Plugins([EntryPoint("cross", "policies.cross:Cross", POLICIES)])
    with pytest.raises(CallerError, match=r"no 'cros' among sor.policies; nothing was sent. Installed: cross$"):
        plugins.policy("cros")
    with pytest.raises(CallerError, match=r"no 'acme' among sor.venues; nothing was sent. Installed: none$"):
        plugins.venue("acme")
    assert plugins.policies.get("cros") is None


def test_a_name_that_two_packages_claim_is_refused_to_both(site: Path) -> None:
    install(site, "honest", policies={"fast": "policies.cross:Cross"})
    install(site, "hijack", policies={"fast": "policies.maker_first:MakerFirst"})
    plugins = Plugins.installed()
    with pytest.raises(
        CallerError, match=r"'fast' is claimed twice .*package honest 1.0 and .*package hijack 1.0"
    ) as caught:
        plugins.policy("fast")
    assert "nothing was sent. Uninstall one of them" in str(caught.value)
    assert isinstance(plugins.policy("cross"), Cross)  # the others are not held up


def test_one_distribution_seen_twice_is_one() -> None:
    entry = EntryPoint("cross", "policies.cross:Cross", POLICIES)
    assert isinstance(Plugins([entry, entry]).policy("cross"), Cross)


BROKEN = """
class Silent:
    name = "silent"
    needs = ()

class Shy:
    def __init__(self, secret): ...

class Liar:
    name = "truth"
    needs = ()
    def decide(self, view, params): ...

class Loose:
    name = "loose"
    needs = "acme.x"
    def decide(self, view, params): ...

number = 5
"""


@pytest.mark.parametrize(
    ("name", "target", "words"),
    [
        ("gone", "acme_nowhere:Policy", "cannot be imported: ModuleNotFoundError: No module named 'acme_nowhere'"),
        ("missing", "acme_broken:Missing", "cannot be imported: AttributeError"),
        ("dies", "acme_dies:Policy", "cannot be imported: ZeroDivisionError: division by zero"),
        ("exits", "acme_exits:Policy", "cannot be imported: SystemExit: 3"),
        ("shy", "acme_broken:Shy", "cannot be made without arguments: .*'secret'"),
        ("silent", "acme_broken:Silent", "is no policy: it has no decide"),
        ("number", "acme_broken:number", "is no policy: it has no name, needs, decide"),
        ("liar", "acme_broken:Liar", "calls itself 'truth' and not 'liar'"),
        ("loose", "acme_broken:Loose", "`needs` must be a tuple of parameter ids"),
    ],
)
def test_a_broken_policy_names_its_package(
    site: Path, monkeypatch: pytest.MonkeyPatch, name: str, target: str, words: str
) -> None:
    module(site, "acme_broken", BROKEN, monkeypatch)
    module(site, "acme_dies", "1 / 0\n", monkeypatch)
    module(site, "acme_exits", "raise SystemExit(3)\n", monkeypatch)
    install(site, "acme-sor", policies={name: target})
    with pytest.raises(CallerError, match=f"of package acme-sor 1.0.*{words}.*nothing was sent"):
        Plugins.installed().policy(name)


def test_broken_schedules_and_venues_are_refused_too(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module(site, "acme_broken", BROKEN, monkeypatch)
    install(site, "acme-sor", schedules={"silent": "acme_broken:Silent"}, venues={"acme": "acme_broken:number"})
    plugins = Plugins.installed()
    assert plugins.names(SCHEDULES) == ("immediate", "silent", "twap")
    with pytest.raises(CallerError, match="is no schedule: it has no check, due; nothing was sent"):
        plugins.schedule("silent")
    with pytest.raises(CallerError, match="is not a function that opens a venue; nothing was sent"):
        plugins.venue("acme")


def test_an_object_serves_as_well_as_a_class(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = (
        "from policies.twap import Twap\n\nclass Own(Twap):\n    name = 'own'\n\nown = Own()\ndef opens(options): ...\n"
    )
    module(site, "acme_good", source, monkeypatch)
    install(site, "acme-sor", schedules={"own": "acme_good:own"}, venues={"acme": "acme_good:opens"})
    plugins = Plugins.installed()
    assert plugins.schedule("own") is plugins.schedule("own")
    assert callable(plugins.venue("acme"))


def test_what_is_broken_is_listed_beside_what_is_not(site: Path) -> None:
    install(site, "acme-sor", policies={"gone": "acme_nowhere:Policy"}, schedules={"lost": "acme_nowhere:Schedule"})
    as_json = Output()
    as_json.json = True
    listed = CliRunner().invoke(policies, obj=as_json)
    assert listed.exit_code == 0
    found = json.loads(listed.stdout)
    assert {"calm_market", "cost_aware", "cross", "maker_first", "plain_limit"} <= set(found["policies"])
    assert found["schedules"] == ["immediate", "twap"]
    assert [sentence.split(" of ")[0] for sentence in found["broken"]] == [
        "sor.policies 'gone' = 'acme_nowhere:Policy'",
        "sor.schedules 'lost' = 'acme_nowhere:Schedule'",
    ]
    table = CliRunner().invoke(policies)
    assert "broken: sor.schedules 'lost' = 'acme_nowhere:Schedule' of package acme-sor 1.0" in table.stdout


def test_a_plug_in_without_a_distribution_is_described() -> None:
    entry = EntryPoint("x", "nowhere:X", POLICIES)
    assert isinstance(entry.dist, Distribution | None)
    with pytest.raises(CallerError, match=r"sor.policies 'x' = 'nowhere:X' of an unnamed package cannot be imported"):
        Plugins([entry]).policy("x")


def files_in(page: str) -> dict[str, str]:
    """Path and content of each file that a page spells out."""
    found = re.findall(r"^File `([^`]+)`:\n\n```[a-z]+\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    return dict(found)


def test_the_package_in_the_guide_works_as_it_stands(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = files_in((ROOT / "docs" / "policies.md").read_text(encoding="utf-8"))
    assert sorted(files) == ["acme_sor/patient.py", "paramsets/acme/2026-11-21.json", "pyproject.toml"]
    for path, body in files.items():
        (site / path).parent.mkdir(parents=True, exist_ok=True)
        (site / path).write_text(body, encoding="utf-8")
    project = tomllib.loads(files["pyproject.toml"])["project"]
    install(site, project["name"], policies=project["entry-points"]["sor.policies"])
    monkeypatch.delitem(sys.modules, "acme_sor", raising=False)
    monkeypatch.delitem(sys.modules, "acme_sor.patient", raising=False)

    policy = Plugins.installed().policy("patient")
    params = ParamStore(site / "paramsets").get("acme", now_ns=NOW_NS).resolve(VENUE, SYMBOL, now_ns=NOW_NS)
    assert params.missing(policy.needs) == ()

    join = policy.decide(view(), params)
    wanted = Rest(VENUE, 100, 100_000, NOW_NS + round(4.5 * NS), TimeoutBound.FIXED)
    assert (join.placements, join.reason) == ((wanted,), "join")
    assert apply(join, view(), BASELINE).vetoes == ()
    kept = policy.decide(view(resting=(resting(100_000, 60, expire_ns=NOW_NS + NS),), open_lots=60), params)
    assert kept.placements == (Rest(VENUE, 60, 100_000, NOW_NS + NS, TimeoutBound.FIXED),)
    assert policy.decide(view(timeouts=1, open_lots=60), params).placements == (Take(VENUE, 60, 100_001 + 150),)

    # Through the machine: it joins, is not filled, runs out of patience, and crosses once the cancel is known.
    bench = Bench(decide, policies=Plugins.installed().policies)
    content = json.loads(param_text())
    content["records"].append(json.loads(files["paramsets/acme/2026-11-21.json"])["records"][0])
    bench.post(ParamsAdopted(now_ns=bench.now_ns, name="baseline", digest="", text=json.dumps(content)))
    parent = bench.submit(parent_order(policy="patient"))
    [joined] = parent.open_children
    bench.ack(joined)
    assert [type(wish) for wish in outward(bench.run_for(round(4.5 * NS)))] == [Cancel]
    [crossed] = [wish for wish in bench.canceled(joined, 0) if isinstance(wish, Place)]
    assert (joined.order.post_only, joined.order.price_ticks, joined.order.qty_lots) == (True, 9_999, 100)
    assert (crossed.order.tif, crossed.order.qty_lots) == (Tif.IOC, 100)
