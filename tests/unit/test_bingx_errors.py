from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sor.adapter import Request
from sor.errors import VenueFault
from sor.orders import RejectKind
from tests.fakes.bingx import answer
from venues.bingx.codec import envelope
from venues.bingx.errors import (
    MEANINGS,
    RATE_PAUSE_NS,
    RENUMBERED,
    TOPIC_REFUSALS,
    Asked,
    Cause,
    Outcome,
    Verdict,
    judge_answer,
    judge_code,
    judge_failure,
    judge_unreadable,
)

NO, LATER, DOUBT, UNSENT = Outcome.REFUSED, Outcome.RETRY_LATER, Outcome.IN_DOUBT, Outcome.NOT_SENT
K = RejectKind

# Every code that the venue's pages and captures of it name, as the answer to a new order.
PLACED: list[tuple[str, Outcome, RejectKind, Cause]] = [
    ("100001 100412 100413 100004 100419", NO, K.NOT_ALLOWED, Cause.AUTH),
    ("100421", NO, K.OTHER, Cause.CLOCK),
    ("100400 100404", NO, K.OTHER, Cause.ROUTE),
    ("100410 100409 109429", LATER, K.RATE_LIMITED, Cause.RATE),
    ("109403 80020 40029 100414 101514 101515", NO, K.OTHER, Cause.RISK),
    ("109201", DOUBT, K.DUPLICATE_ID, Cause.DUPLICATE),
    ("101481", NO, K.DUPLICATE_ID, Cause.DUPLICATE),
    ("101400 110425 109400 109414 80014 80001", NO, K.BAD_TERMS, Cause.TERMS),
    ("101202 110422 101485 101211 110402 101460 101461 101414", NO, K.BAD_TERMS, Cause.TERMS),
    ("101204 101253 101206 110424 101212", NO, K.NO_MARGIN, Cause.FUNDS),
    ("101209 110287 101222 101429 101424 112414 101419 80013", NO, K.OTHER, Cause.LIMIT),
    ("101215", NO, K.WOULD_TAKE, Cause.MARKET),
    ("101290 101205 109420 110203 80017 109422 80018", NO, K.NOTHING_TO_REDUCE, Cause.POSITION),
    ("110280 109415 109417 101413 104424", NO, K.VENUE_CLOSED, Cause.SYMBOL),
    ("101415 109418 109425", NO, K.NOT_ALLOWED, Cause.SYMBOL),
    ("104103 109401 104108", NO, K.NOT_ALLOWED, Cause.MODE),
    ("101214 101219", LATER, K.NOT_NOW, Cause.SETTLING),
    ("100500 109500 110500 80012 101500 109423 80019", DOUBT, K.OTHER, Cause.BUSY),
    ("102201 110206 110400 110401 110403 110410 110423 110426 110428", NO, K.BAD_TERMS, Cause.TERMS),
    ("109421 80016", NO, K.BAD_TERMS, Cause.UNKNOWN_ORDER),
    ("1 -1 99999 123456 110429", DOUBT, K.OTHER, Cause.UNLISTED),
]
# The same where it means something else to a cancel.
CANCELED: list[tuple[str, Outcome, RejectKind]] = [
    ("109421 80016", NO, K.UNKNOWN_ORDER),
    ("109422 80018", NO, K.TOO_LATE),
    ("109201", LATER, K.RATE_LIMITED),
    ("109400 109414 80014", NO, K.BAD_TERMS),
    ("101481", NO, K.BAD_TERMS),
    ("100410 109429", LATER, K.RATE_LIMITED),
    ("109423 80019 109500", DOUBT, K.OTHER),
    ("123456", DOUBT, K.OTHER),
]


@pytest.mark.parametrize(
    ("code", "outcome", "reject", "cause"),
    [(int(code), *rest) for codes, *rest in PLACED for code in codes.split()],
)
def test_every_code_as_the_answer_to_an_order(code: int, outcome: Outcome, reject: RejectKind, cause: Cause) -> None:
    verdict = judge_code(code=code, text="As The Venue Says", asked=Asked.PLACE)
    if cause is Cause.UNKNOWN_ORDER:  # a new order cannot be unknown: the words are wrong, whatever they are
        cause = Cause.TERMS
    assert (verdict.outcome, verdict.reject, verdict.cause) == (outcome, reject, cause)
    assert (verdict.code, verdict.text) == (str(code), "As The Venue Says")  # to the letter, old numbers too


@pytest.mark.parametrize(
    ("code", "outcome", "reject"), [(int(code), *rest) for codes, *rest in CANCELED for code in codes.split()]
)
def test_codes_that_mean_something_else_to_a_cancel(code: int, outcome: Outcome, reject: RejectKind) -> None:
    for asked in (Asked.CANCEL, Asked.AMEND):
        verdict = judge_code(code=code, text="", asked=asked)
        assert (verdict.outcome, verdict.reject) == (outcome, reject)


@pytest.mark.parametrize("code", [101204, 101212, 110424, 101209, 80013, 101215])
def test_a_refusal_that_no_cancel_can_have_says_nothing_of_its_order(code: int) -> None:
    verdict = judge_code(code=code, text="", asked=Asked.CANCEL)
    assert (verdict.outcome, verdict.reject, verdict.cause) == (DOUBT, K.OTHER, Cause.UNLISTED)
    assert judge_code(code=code, text="", asked=Asked.AMEND).outcome is NO  # one to more takes money


def test_the_table_is_closed() -> None:
    assert set(RENUMBERED.values()) <= set(MEANINGS)
    assert not set(RENUMBERED) & set(MEANINGS)  # an old number has one meaning, that of its new one
    named = {int(code) for codes, *_ in PLACED for code in codes.split()}
    left = set(MEANINGS) - named - set(range(110400, 110429))
    assert not left, "a code without a row in PLACED"


@pytest.mark.parametrize(
    ("code", "text", "reject"),
    [
        (101400, "clientOrderID unique check failed", K.DUPLICATE_ID),  # as captured in 2026
        (101400, "The minimum order amount is 2 USDT", K.BAD_TERMS),
        (101400, "this trading pair is not tradable", K.NOT_ALLOWED),
        (110425, "order value must not be less than 2 USDT", K.BAD_TERMS),
        (109400, "timestamp is invalid", K.OTHER),
        (109400, "Insufficient margin", K.NO_MARGIN),
        (109400, "In the One-way mode, the 'PositionSide' field can only be set to BOTH", K.NOT_ALLOWED),
        (109400, "In the Hedge mode, the 'ReduceOnly' field can not be filled", K.NOT_ALLOWED),
        (109414, "position not exist", K.NOTHING_TO_REDUCE),
        (80001, "Insufficient margin;order 2: ok", K.NO_MARGIN),  # several messages joined
        (109429, "unique check", K.RATE_LIMITED),  # only overloaded codes are told apart by text
    ],
)
def test_overloaded_codes_are_told_apart_by_their_text(code: int, text: str, reject: RejectKind) -> None:
    verdict = judge_code(code=code, text=text, asked=Asked.PLACE)
    assert (verdict.reject, verdict.outcome) == (reject, LATER if code == 109429 else NO)


def test_what_causes_a_wrong_mode_or_clock_is_named() -> None:
    causes = [
        judge_code(code=code, text=text, asked=Asked.PLACE).cause
        for code, text in (
            (109400, "timestamp is invalid"),
            (109400, "positionSide ..."),
            (109400, "reduceOnly can not be filled"),
        )
    ]
    assert causes == [Cause.CLOCK, Cause.MODE, Cause.MODE]


@pytest.mark.parametrize("asked", [Asked.CANCEL, Asked.QUERY, Asked.AMEND])
def test_an_unknown_order_by_its_text(asked: Asked) -> None:
    for text in ("order not exist", "Order does not exist", "order not found"):
        assert judge_code(code=109414, text=text, asked=asked).reject is K.UNKNOWN_ORDER
    # Anything less plain is not evidence of absence.
    assert judge_code(code=109400, text="orderId is invalid", asked=asked).reject is K.BAD_TERMS


def test_a_rate_limit_may_say_until_when() -> None:
    text = "code:100410:The endpoint trigger frequency limit rule is currently in the disabled period and will be "
    verdict = judge_code(code=100410, text=text + "unblocked after 1760000000123", asked=Asked.READ)
    assert (verdict.until_ns, verdict.pause_ns) == (1_760_000_000_123_000_000, RATE_PAUSE_NS)
    assert verdict.advice == "stay away until 2025-10-09 08:53:20 UTC: going on is a ban"
    assert judge_code(code=100410, text="rate limited", asked=Asked.READ).until_ns == 0


@pytest.mark.parametrize("asked", [Asked.QUERY, Asked.READ])
def test_what_changes_nothing_is_never_in_doubt(asked: Asked) -> None:
    verdicts: list[Verdict | None] = [
        judge_code(code=109500, text="", asked=asked),
        judge_code(code=123456, text="", asked=asked),
        judge_answer(status=502, body=b"<html>", asked=asked),
        judge_answer(status=200, body=b"<html>", asked=asked),
        judge_failure(bytes_left=True, text="timeout", asked=asked),
        judge_unreadable(VenueFault("broken"), asked=asked),
    ]
    assert [one.outcome for one in verdicts if one] == [LATER] * 6


@pytest.mark.parametrize(
    ("status", "body", "outcome", "code", "cause"),
    [
        (200, b"", DOUBT, "http 200", Cause.TRANSPORT),
        (200, b"{}", DOUBT, "http 200", Cause.TRANSPORT),
        (200, b'{"code":"0"}', DOUBT, "http 200", Cause.TRANSPORT),
        (200, answer({}, code=101204, msg="Insufficient margin"), NO, "101204", Cause.FUNDS),
        (400, b"", NO, "http 400", Cause.TERMS),
        (400, answer({}, code=109400, msg="bad"), NO, "109400", Cause.TERMS),
        (401, b"", NO, "http 401", Cause.AUTH),
        (403, b"<html>", LATER, "http 403", Cause.BAN),
        (404, b"", NO, "http 404", Cause.ROUTE),
        (418, answer({}, code=100410), LATER, "http 418", Cause.BAN),
        (429, b"", LATER, "http 429", Cause.RATE),
        (429, answer({}, code=123456), LATER, "http 429", Cause.RATE),
        (429, answer({}, code=100410, msg="slow"), LATER, "100410", Cause.RATE),
        (500, b"", DOUBT, "http 500", Cause.BUSY),
        (504, answer({}, code=101204), DOUBT, "http 504", Cause.BUSY),  # a gateway that guesses
        (302, b"", DOUBT, "http 302", Cause.TRANSPORT),
        (400, answer({}), NO, "http 400", Cause.TERMS),
    ],
)
def test_http_answers_to_an_order(status: int, body: bytes, outcome: Outcome, code: str, cause: Cause) -> None:
    verdict = judge_answer(status=status, body=body, asked=Asked.PLACE)
    assert verdict is not None
    assert (verdict.outcome, verdict.code, verdict.cause) == (outcome, code, cause)


def test_a_success_is_no_verdict() -> None:
    assert judge_answer(status=200, body=answer({}), asked=Asked.PLACE) is None


def test_the_listen_key_comes_without_an_envelope() -> None:
    for body in (b'{"listenKey":"abc"}', b""):
        assert judge_answer(status=200, body=body, asked=Asked.SETTING, enveloped=False) is None
    refused = judge_answer(status=200, body=answer({}, code=100413), asked=Asked.SETTING, enveloped=False)
    assert refused is not None
    assert refused.cause is Cause.AUTH
    gone = judge_answer(status=404, body=b"", asked=Asked.SETTING, enveloped=False)
    assert gone is not None
    assert gone.outcome is NO


def test_a_transport_that_fails() -> None:
    unsent = judge_failure(bytes_left=False, text="connection refused", asked=Asked.PLACE)
    assert (unsent.outcome, unsent.code, unsent.text) == (UNSENT, "not_sent", "connection refused")
    silent = judge_failure(bytes_left=True, text="timeout after 5 s", asked=Asked.PLACE)
    assert (silent.outcome, silent.code, silent.text) == (DOUBT, "no_answer", "timeout after 5 s")
    broken = judge_unreadable(VenueFault("BingX sent no order"), asked=Asked.PLACE)
    assert (broken.outcome, broken.text) == (DOUBT, "BingX sent no order")


def test_every_request_is_asked_for() -> None:
    assert [Asked.of(request) for request in Request] == [Asked.PLACE, Asked.CANCEL, Asked.AMEND, Asked.QUERY]


def test_refused_topics() -> None:
    assert set(TOPIC_REFUSALS) == {80015, 80403, 100400, 80014}


@given(status=st.integers(100, 599), body=st.binary(max_size=200), asked=st.sampled_from(Asked))
def test_any_answer_gets_a_verdict(status: int, body: bytes, asked: Asked) -> None:
    verdict = judge_answer(status=status, body=body, asked=asked)
    if verdict is None:
        assert status == 200
        with suppress(VenueFault):
            assert envelope(body).code == 0
