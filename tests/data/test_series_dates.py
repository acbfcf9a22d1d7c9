"""Dates of series: how they are written, how far apart they are, where a season begins again."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlcli.data.series_dates import YEAR, Step, is_date, parse, step_of, write
from dlcli.errors import DataError


@pytest.mark.parametrize(
    ("text", "date", "form"),
    [
        ("1981", (1981, 1, 1), "year"),
        ("1981-02", (1981, 2, 1), "month"),
        ("1984-02-29", (1984, 2, 29), "day"),
        ("1981-01-31T06:05", (1981, 1, 31, 6, 5), "time"),
        ("1981-01-31 06:05:07.000", (1981, 1, 31, 6, 5, 7), "time"),
        ("1981-01-01T01:30:00+02:00", (1980, 12, 31, 23, 30), "time, UTC"),
        ("1981-01-01T01:30-0130", (1981, 1, 1, 3, 0), "time, UTC"),
        ("1981-01-01T01:30Z", (1981, 1, 1, 1, 30), "time, UTC"),
    ],
)
def test_a_date_is_read_in_its_form_and_written_in_it(text, date, form):
    found = parse(text)
    assert found == (datetime(*date), form)
    assert parse(write(*found)) == found


@pytest.mark.parametrize(
    "text",
    [
        *("", "01/02/1981", "1981-13", "1981-02-29", "1981-1-1", "today", "1981-01-01 24:00"),
        *("٢٠٢٠-01", "1981-01-01T06", "0000-01", "1981-01-01T06:00:00.5", "19810101", "20.7"),
    ],
)
def test_what_is_no_date_or_could_be_two_is_refused(text):
    with pytest.raises(ValueError, match=r"."):
        parse(text)


def test_a_year_alone_may_be_a_number():
    assert is_date("1981-01")
    assert not is_date("1981")


@pytest.mark.parametrize(
    ("first", "then", "words"),
    [
        ("1949-01", "1949-02", "1 month"),
        ("1949-01", "1949-04", "3 months"),
        ("1949", "1950", "1 year"),
        ("2020-01-31", "2020-02-29", "1 month"),
        ("2020-01-05", "2020-01-12", "1 week"),
        ("2020-01-05", "2020-01-06", "1 day"),
        ("2020-01-05 00:00", "2020-01-05 00:15", "15 minutes"),
        ("2020-01-05 00:00", "2020-01-05 02:00", "2 hours"),
        ("2020-01-05 00:00:00", "2020-01-05 00:00:07", "7 seconds"),
    ],
)
def test_the_step_is_found_and_goes_on(first, then, words):
    a, b = parse(first)[0], parse(then)[0]
    step = step_of([a, b])
    assert str(step) == words
    assert step.after(a, 1) == b
    assert step.between(a, b) == pytest.approx(1)
    assert Step.from_json(step.to_json()) == step


def test_the_step_is_the_one_that_most_dates_are_apart():
    days = [datetime(2020, 1, day) for day in (1, 2, 3, 6, 7)]
    assert step_of(days) == Step(seconds=86_400)
    assert step_of(days[:1] + days[2:3] + days[3:4]) == Step(
        seconds=2 * 86_400
    )  # 2 and 3: the less


def test_months_that_end_a_month_go_on_so():
    step = step_of([parse(text)[0] for text in ("2019-11-30", "2019-12-31", "2020-01-31")])
    assert write(step.after(datetime(2020, 1, 31), 1), "day") == "2020-02-29"
    assert write(step.after(datetime(2020, 1, 31), 13), "day") == "2021-02-28"


@pytest.mark.parametrize(
    ("step", "season"),
    [
        (Step(months=1), 12),
        (Step(months=3), 4),
        (Step(months=6), None),
        (Step(months=12), None),
        (Step(seconds=86_400), YEAR / 86_400),
        (Step(seconds=3_600), 24),
        (Step(seconds=43_200), None),
        (Step(seconds=7 * 86_400), YEAR / 86_400 / 7),
    ],
)
def test_a_season_is_a_year_or_for_short_steps_a_day(step, season):
    assert step.season == season


@pytest.mark.parametrize("step", [Step(months=1), Step(seconds=86_400)])
def test_no_date_is_beyond_the_calendar(step):
    with pytest.raises(DataError, match="beyond the year 9999"):
        step.after(datetime(9999, 12, 31), 3_000)


@given(
    st.datetimes(datetime(1, 1, 1), datetime(9000, 1, 1)).map(
        lambda d: d.replace(microsecond=0, fold=0)
    ),
    st.integers(1, 10**7),
    st.integers(1, 300),
)
def test_after_and_between_are_each_others_inverse(date, seconds, steps):
    step = Step(seconds=seconds)
    assert step.between(date, step.after(date, steps)) == pytest.approx(steps, abs=1e-3)
    assert step_of([date, date + timedelta(seconds=seconds)]).after(date, 1) == step.after(date, 1)


@pytest.mark.parametrize(
    "stored",
    [
        {},
        {"months": 0, "seconds": 0, "end": False},
        {"months": 1, "seconds": 1, "end": False},
        {"months": -1, "seconds": 0, "end": False},
        {"months": True, "seconds": 0, "end": False},
        {"months": 1, "seconds": 0, "end": 1},
        {"months": 0, "seconds": 1 << 50, "end": False},
    ],
)
def test_a_stored_step_that_is_none_is_refused(stored):
    with pytest.raises((KeyError, TypeError, ValueError)):
        Step.from_json(stored)
