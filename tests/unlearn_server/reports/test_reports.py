"""Every number of a report against the rows it was made from, in each of its forms."""

import io
import json
import re
from datetime import UTC, datetime, timedelta

import pikepdf
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unlearn_server.reports.conftest import (
    END,
    START,
    Page,
    Request,
    at,
    fill,
    request_id,
    words_of,
)
from unlearn_server.domain import ErasureState, Method
from unlearn_server.ledger.database import Database
from unlearn_server.reports import as_html, as_json, as_pdf, figures, words
from unlearn_server.reports.collecting import collect
from unlearn_server.reports.report import Period
from unlearn_server.reports.reporting import FORMS

MADE = datetime(2026, 7, 1, tzinfo=UTC)
HOURS = (END - START) // timedelta(hours=1)

LEDGER = [
    Request(-100, closed=-50, erased=(9,)),  # before
    Request(-100, closed=50, erased=(2, 3)),
    Request(1, due=10, closed=10, erased=(4,), regulation="ccpa"),
    Request(1, due=10, closed=11.5, erased=(0, 5), mu=0.5, method=Method.NEWTON),  # late
    Request(2, due=9, closed=11, erased=(6,)),  # due and closed on the hour
    Request(3, closed=3),  # nothing matched
    Request(4, closed=20, state=ErasureState.CANCELLED),
    Request(5, due=40, state=ErasureState.NEEDS_OPERATOR, erased=(7,)),  # overdue
    Request(6, due=HOURS, state=ErasureState.HELD),
    Request(7, due=HOURS, closed=HOURS, erased=(8,)),  # closed at the end: not in it
    Request(HOURS, closed=HOURS + 1, erased=(1,)),  # after
]


@pytest.fixture
def read(ledger):
    def read(requests, *, start=START, end=END, made=MADE):
        with ledger(requests).read() as conn:
            return collect(conn, Period(start, end, made))

    return read


def test_counts_of_a_ledger_that_was_counted_by_hand(read):
    told = json.loads(as_json.render(read(LEDGER)))
    assert told["requests"] == {
        "openAtStart": 1,
        "received": 9 - 1,
        "onTime": 4,
        "late": 1,
        "cancelled": 1,
        "refused": 0,
        "openAtEnd": 3,
        "nothingMatched": 1,
        "overdue": 1,
        "held": 1,
    }
    effects = {
        (o["model"], o["method"]): (o["outcomes"], o["erasedSamples"]) for o in told["outcomes"]
    }
    assert effects == {
        ("models/m0", "EXACT"): (3, 12),
        ("models/m0", "NEWTON"): (1, 0),
        ("models/m1", "EXACT"): (1, 3),
        ("models/m1", "NEWTON"): (1, 5),
    }
    certificates = [each.get("certificate") for each in told["closed"]]
    assert certificates == [*(f"certificates/{i}" for i in range(1, 7)), None, None]
    nats = told["largestBounds"]["nats"]
    assert nats == {"value": pytest.approx(0.5**2 / 2), "certificate": "certificates/5"}
    assert told["largestBounds"]["differencingGaussianDp"]["value"] == "Infinity"
    assert told["assumptions"] == {"the sun rises": 5}
    assert [each["certificates"] for each in told["open"]] == [
        ["certificates/7"],
        [],
        ["certificates/8"],
    ]


def test_a_refusal_stands_with_its_certificate_beside_what_was_done_before(house):
    """Refused at once, and refused after one of two models was done."""
    before = datetime.now(UTC)
    house.fill("done", ["ada", "bob"])
    house.fill("waits", ["ada", "bob"], cohort=9)
    at_once = house.ask(house.subjects("bob"), "waits")
    halfway = house.ask(house.subjects("ada"), "done", "waits")
    house.eraser.erase_open()
    house.holding.place(house.keys.hash_subject("ada"), "a lawsuit")
    accepted = datetime.now(UTC)
    certified = {}
    for asked in (at_once, halfway):
        refused = house.decisions.refuse(asked.request_id, "gdpr-17-3-b", "the law")
        leaves = [*(each.certificate for each in refused.outcomes), refused.refusal.certificate]
        certified[f"erasures/{asked.request_id}"] = [f"certificates/{leaf}" for leaf in leaves]
    assert sorted(map(len, certified.values())) == [1, 2]
    after = datetime.now(UTC)
    with house.database.read() as conn:
        told, earlier = (
            json.loads(as_json.render(collect(conn, Period(before, end, after))))
            for end in (after, accepted)
        )
    rows = {(each["erasure"], each["certificate"]) for each in told["closed"]}
    assert rows == {(name, leaf) for name, leaves in certified.items() for leaf in leaves}
    assert len(told["closed"]) == len(rows)
    assert (told["requests"]["refused"], told["requests"]["openAtEnd"]) == (2, 0)
    assert {each["erasure"]: each["certificates"] for each in earlier["open"]} == certified


CLOSED_STATES = [ErasureState.SUCCEEDED, ErasureState.CANCELLED, ErasureState.REFUSED]
OPEN_STATES = [ErasureState.PENDING, ErasureState.HELD, ErasureState.RUNNING]


@st.composite
def requests(draw):
    received = draw(st.integers(-50, 50))
    closed = draw(st.none() | st.integers(0, 60))
    return Request(
        received,
        due=draw(st.integers(1, 40)),
        closed=None if closed is None else received + closed,
        state=draw(st.sampled_from(OPEN_STATES if closed is None else CLOSED_STATES)),
        erased=tuple(draw(st.lists(st.integers(0, 5), max_size=3))),
        mu=draw(st.sampled_from([0.0, 0.1, 2.0])),
    )


@settings(max_examples=40)
@given(st.lists(requests(), max_size=12), st.integers(-50, 50), st.integers(1, 50))
def test_what_was_open_and_what_came_is_what_was_closed_and_what_is_open(
    tmp_path_factory, rows, start, length
):
    database = Database.open(f"sqlite:///{tmp_path_factory.mktemp('ledger')}/l.db")
    fill(database, rows)
    with database.read() as conn:
        report = collect(conn, Period(at(start), at(start + length), MADE))
    database.close()
    told = json.loads(as_json.render(report))
    counts = told["requests"]
    came = counts["openAtStart"] + counts["received"]
    went = counts["onTime"] + counts["late"] + counts["cancelled"] + counts["refused"]
    assert came == went + counts["openAtEnd"]
    inside = [
        (request_id(key), each)
        for key, each in enumerate(rows, 1)
        if each.closed is not None and start <= each.closed < start + length
    ]
    assert {each["erasure"] for each in told["closed"]} == {f"erasures/{i}" for i, _ in inside}
    done = [each for _, each in inside if each.state is ErasureState.SUCCEEDED]
    assert counts["late"] == sum(each.closed > each.received + each.due for each in done)
    erased = [count for _, each in inside for count in each.erased]
    assert sum(each["erasedSamples"] for each in told["outcomes"]) == sum(erased)
    assert sum(each["outcomes"] for each in told["outcomes"]) == len(erased)
    worst = max((each.mu for _, each in inside if any(each.erased)), default=None)
    largest = told["largestBounds"].get("gaussianDp")
    assert (largest and largest["value"]) == worst


def test_the_page_and_the_pdf_say_the_same_as_the_json(read):
    report = read(LEDGER)
    told = json.loads(as_json.render(report))
    page, pdf = Page(as_html.render(report)), words_of(as_pdf.render(report))
    balance = {row[0]: row[1] for row in page.tables[0][1:]}
    names = ["Open at the start", "Received", "Carried out on time", "Carried out late"]
    for name, key in zip(names, ["openAtStart", "received", "onTime", "late"], strict=True):
        assert int(balance[name].replace("−", "-")) in {
            told["requests"][key],
            -told["requests"][key],
        }
    register = page.tables[-1][1:]
    assert len(register) == len(told["closed"])
    for row, each in zip(register, told["closed"], strict=True):
        assert f"erasures/{row[1]}" == each["erasure"]
        assert row[0] == each.get("certificate", "/–").rpartition("/")[2]
        assert int(row[5]) == each.get("erasedSamples", 0)
        assert row[4].startswith("−") == each["late"]
        assert (row[4] == "canc") == (each["state"] == "CANCELLED")
        cells = " ".join(cell for cell in row if cell)
        assert f" {cells} " in f" {' '.join(pdf)} "
    assert told["log"]["root"] in "".join(pdf)
    for each in told["open"]:
        assert each["erasure"].removeprefix("erasures/") in "".join(pdf)


@pytest.mark.parametrize("count", [1, 40, 41, 80, 81, 81 + 46, 300])
def test_no_row_is_lost_between_the_columns_and_pages_of_the_pdf(read, count):
    pdf = words_of(as_pdf.render(read([Request(0, closed=1, erased=(1,))] * count)))
    rows = [word for word in pdf if word.count("-") == 4]
    assert sorted(rows) == sorted(request_id(key) for key in range(1, count + 1))


def test_the_page_fetches_nothing_and_runs_nothing(read):
    page = Page(as_html.render(read(LEDGER)))
    assert page.tags.isdisjoint({"script", "link", "img", "iframe", "object", "form"})
    assert {name for name, _ in page.attributes}.isdisjoint({"src", "href", "srcset", "onclick"})


NASTY = '<script>alert(1)</script>#panic("x")*_$ {{ 7 * 7 }} \\ 忘 \u202e \U0001f600 \x00 é'


def test_what_callers_wrote_stays_text(read):
    report = read([Request(1, closed=2, erased=(1,), regulation=NASTY)])
    page = Page(as_html.render(report))
    assert "script" not in page.tags
    assert page.tables[1][1][0].replace("\ufffd", "\x00") == NASTY
    told = "".join(words_of(as_pdf.render(report)))
    assert '<script>alert(1)</script>#panic("x")*_${{7*7}}\\[U+5FD8][U+202E]' in told


def test_the_pdf_says_that_it_is_pdf_a_and_holds_all_it_needs(read):
    with pikepdf.open(io.BytesIO(as_pdf.render(read(LEDGER)))) as pdf:
        with pdf.open_metadata() as metadata:
            assert metadata["pdfaid:part"] == "2"
            assert metadata["pdfaid:conformance"] == "B"
        [intent] = pdf.Root.OutputIntents
        assert intent.S == "/GTS_PDFA1"
        assert intent.DestOutputProfile.read_bytes()[36:40] == b"acsp"  # an ICC profile
        assert not pdf.is_encrypted
        assert "/EmbeddedFiles" not in pdf.Root.get("/Names", {})
        objects = [each for each in pdf.objects if isinstance(each, pikepdf.Dictionary)]
        fonts = [each for each in objects if each.get("/Type") == "/FontDescriptor"]
        assert fonts
        assert all({"/FontFile2", "/FontFile3"} & set(font.keys()) for font in fonts)
        assert not [each for each in objects if each.get("/S") in {"/JavaScript", "/Launch"}]


def test_a_report_is_made_of_nothing_at_all(read):
    report = read([])
    for render in FORMS.values():
        assert render(report)
    assert "No request was carried out" in "".join(Page(as_html.render(report)).text)


def test_a_report_before_the_period_ends_tells_until_when_it_was_made(read):
    rows = [Request(1, closed=10, erased=(1,)), Request(2, closed=30, erased=(1,))]
    report = read(rows, made=at(20))
    told = json.loads(as_json.render(report))["requests"]
    assert (told["onTime"], told["openAtEnd"]) == (1, 1)
    assert "preliminary" in "".join(Page(as_html.render(report)).text)


def test_the_bars_add_up(read):
    report = read(LEDGER)
    for figure in (figures.over_time(report), figures.time_left(report)):
        [top] = {int(value) for value in re.findall(r'end" fill="#444444">(\d+)<', figure.svg)[-1:]}
        heights = map(float, re.findall(r'<rect .*? height="([\d.]+)"', figure.svg))
        assert sum(heights) * top / 132 == pytest.approx(5, abs=0.01)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0"),
        (0.125, "0.13"),
        (1.0, "1"),
        (12.01, "13"),
        (1.01e-9, "1.1e-9"),
        (float("inf"), "no limit"),
    ],
)
def test_bounds_are_rounded_up(value, shown):
    assert words.bound(value) == shown


@pytest.mark.parametrize(("days", "shown"), [(0.0, "0.0"), (-1e-7, "−0.1"), (3.99, "3.9")])
def test_what_is_left_is_rounded_down(days, shown):
    assert words.days_left(days) == shown
