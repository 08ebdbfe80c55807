"""Options and keys of BingX: every refusal names what to change, and none shows a key."""

import json
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

import pytest

from sor.errors import CallerError
from venues.bingx.environments import EMULATOR_KEY, PLACES, Env
from venues.bingx.options import TABLE, clamped, read
from venues.bingx.reports import PushFee
from venues.plumbing.credentials import read_keys

KEY, SECRET = "a-key-not-for-eyes", "a-secret-not-for-eyes"


def test_b7_the_demo_is_the_default() -> None:
    settings = read({})
    assert settings.env is Env.VST
    assert settings.place == PLACES[Env.VST]
    assert settings.place.settle == "VST"
    assert settings.all_instruments
    assert (settings.recv_window_ms, settings.leverage_cap, settings.reduce_only) == (5_000, 3, True)
    assert settings.push_fee is PushFee.FIRST_ONLY


def test_every_option() -> None:
    settings = read(
        {
            "env": "emulator",
            "url": "http://127.0.0.1:9000",
            "secrets": "~/keys",
            "symbols": "btc-usdt, ETH/USDT,BTCUSDT",
            "load_all_instruments": "yes",
            "recv_window_ms": "3000",
            "leverage_cap": "10",
            "leverage_cache": "/tmp/x",
            "reduce_only": "no",
            "newest_limits": "yes",
            "push_fee": "per_fill",
        }
    )
    assert (settings.place.rest, settings.place.socket) == ("http://127.0.0.1:9000", "ws://127.0.0.1:9000/swap-market")
    assert settings.symbols == ("BTCUSDT", "ETHUSDT")
    assert settings.all_instruments
    assert settings.secrets == Path("~/keys").expanduser()
    assert (settings.recv_window_ms, settings.leverage_cap, settings.reduce_only) == (3_000, 10, False)
    assert (settings.newest_limits, settings.push_fee) == (True, PushFee.PER_FILL)
    assert not read({"symbols": "BTCUSDT"}).all_instruments
    assert read({"load_all_instruments": "no"}).all_instruments  # of none at all nothing could be traded


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"colour": "red"}, "no option 'colour'.*It has: env, "),
        ({"env": "prod"}, "env is one of emulator, vst, live"),
        ({"env": "live"}, "allow_live=yes"),
        ({"env": "live", "allow_live": "true"}, "allow_live=yes"),
        ({"env": "live", "allow_live": "YES"}, "allow_live=yes"),
        ({"url": "http://127.0.0.1:1"}, "url is for env emulator alone"),
        ({"env": "live", "allow_live": "yes", "url": "http://127.0.0.1:1"}, "url is for env emulator alone"),
        ({"env": "emulator", "url": "http://open-api.bingx.com:80"}, "not an emulator on this machine"),
        ({"env": "emulator", "url": "https://127.0.0.1:1"}, "not an emulator on this machine"),
        ({"env": "emulator", "url": "http://127.0.0.1"}, "not an emulator on this machine"),
        ({"env": "emulator", "url": "http://127.0.0.1:1/x"}, "not an emulator on this machine"),
        ({"env": "emulator", "url": "http://me@127.0.0.1:1"}, "not an emulator on this machine"),
        ({"env": "emulator", "url": "http://[::1:1"}, "not an emulator on this machine"),
        ({"symbols": "BTC,-"}, "is not a symbol"),
        ({"recv_window_ms": "5001"}, "recv_window_ms is a whole number from 1 to 5000"),
        ({"leverage_cap": "0"}, "leverage_cap is a whole number"),
        ({"leverage_cap": "2.5"}, "leverage_cap is a whole number"),
        ({"reduce_only": "maybe"}, "reduce_only is yes or no"),
        ({"push_fee": "x"}, "push_fee is one of first_only"),
    ],
)
def test_bad_options_are_refused_by_name(options: Mapping[str, str], why: str) -> None:
    with pytest.raises(CallerError, match=why) as caught:
        read(options)
    assert "nothing was sent" in str(caught.value)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://localhost:1/", "http://[::1]:1", "http://127.5.5.5:1"])
def test_an_emulator_is_on_this_machine(url: str) -> None:
    assert read({"env": "emulator", "url": url}).place.socket.endswith(":1/swap-market")


def test_the_table_has_every_option() -> None:
    assert "env" in TABLE
    assert all(text for text in TABLE.values())


def test_b4_leverage_is_rounded_down_within_one_and_the_cap() -> None:
    assert [clamped(Decimal(text), 3) for text in ("0.1", "1.9", "2", "2.99", "3", "50")] == [1, 1, 2, 2, 3, 3]


# --- keys -------------------------------------------------------------------------------------------------------------


def keys(environment: Mapping[str, str], file: Path | None = None) -> tuple[str, str]:
    found = read_keys(key_name="K", secret_name="S", file=file, environment=environment)
    return found.key.reveal(), found.secret.reveal()


def written(tmp_path: Path, text: str, *, mode: int = 0o600) -> Path:
    path = tmp_path / "keys"
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


def test_keys_come_from_the_environment() -> None:
    assert keys({"K": KEY, "S": SECRET}) == (KEY, SECRET)


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"K": KEY, "S": SECRET, "other": "x"}),
        f"# my keys\nexport K='{KEY}'\n\nS = \"{SECRET}\"\n",
        f"K={KEY}\r\nS={SECRET}",
    ],
)
def test_keys_come_from_a_file_of_ones_own(tmp_path: Path, text: str) -> None:
    assert keys({}, written(tmp_path, text)) == (KEY, SECRET)


def test_a_file_that_is_named_counts_alone(tmp_path: Path) -> None:
    with pytest.raises(CallerError, match=r"S is not in .*keys; nothing was sent. Set K and S"):
        keys({"K": KEY, "S": SECRET}, written(tmp_path, f"K={KEY}"))


def test_r7_a_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    for mode in (0o640, 0o604, 0o620):
        with pytest.raises(CallerError, match="chmod 600") as caught:
            keys({}, written(tmp_path, f"K={KEY}\nS={SECRET}", mode=mode))
        assert KEY not in str(caught.value)


@pytest.mark.parametrize("text", [f'{{"K": "{KEY}", "S": 5}}', f'{{"K": "{KEY}"', f'{{"K": ["{KEY}"]}}'])
def test_r7_no_error_quotes_a_file(tmp_path: Path, text: str) -> None:
    with pytest.raises(CallerError, match="neither JSON nor lines") as caught:
        keys({}, written(tmp_path, text))
    assert KEY not in str(caught.value)
    assert caught.value.__cause__ is None


def test_what_is_no_key_is_refused_unseen(tmp_path: Path) -> None:
    with pytest.raises(CallerError, match=r"K or S in the environment: a key is empty") as caught:
        keys({"K": f"{KEY}\n", "S": SECRET})
    assert KEY not in str(caught.value)
    with pytest.raises(CallerError, match="cannot be read"):
        keys({}, tmp_path / "none")
    with pytest.raises(CallerError, match=r"cannot be read|is not a file"):
        keys({}, tmp_path)


def test_b7_demo_and_live_have_keys_of_their_own_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BINGX_API_KEY", KEY)
    monkeypatch.setenv("BINGX_API_SECRET", SECRET)
    monkeypatch.delenv("BINGX_VST_API_KEY", raising=False)
    with pytest.raises(CallerError, match="BINGX_VST_API_KEY and BINGX_VST_API_SECRET are not in the environment"):
        read({}).keys()
    assert read({"env": "live", "allow_live": "yes"}).keys().key.reveal() == KEY
    assert read({"env": "emulator"}).keys().key.reveal() == EMULATOR_KEY
    assert KEY not in repr(read({"env": "live", "allow_live": "yes"}).keys())


def test_keys_of_the_emulator_are_public_ones_unless_others_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read({"env": "emulator"}).keys().key.reveal() == EMULATOR_KEY
    monkeypatch.setenv("BINGX_EMULATOR_API_KEY", "another")
    with pytest.raises(CallerError, match="BINGX_EMULATOR_API_SECRET is not in the environment"):
        read({"env": "emulator"}).keys()
    monkeypatch.setenv("BINGX_EMULATOR_API_SECRET", "one")
    assert read({"env": "emulator"}).keys().key.reveal() == "another"
