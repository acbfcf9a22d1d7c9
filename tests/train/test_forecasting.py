"""The task of forecasting: baselines against loops that say what they are, figures, predictions."""

from datetime import datetime, timedelta
from types import SimpleNamespace

import numpy as np
import pytest

from dlcli.cli import plot
from dlcli.data import series as cuts
from dlcli.data.series import Series
from dlcli.data.series_dates import Step
from dlcli.data.series_kind import KIND
from dlcli.engine.tensor import Tensor
from dlcli.errors import DataError
from dlcli.models import catalog
from dlcli.train import forecast_baselines as baselines
from dlcli.train import task as tasks
from dlcli.train.evaluate import inference
from dlcli.train.forecasting import TASK
from dlcli.train.recipe import lower_is_better
from dlcli.train.task import Trained

WINDOW, HORIZON = 6, 3


def series(values, columns=None, gaps=()):
    """A daily series of values (T, C), without the days `gaps`."""
    values = np.asarray(values, np.float64).reshape(len(values), -1)
    days = [datetime(2020, 1, 1) + timedelta(days=i) for i in range(len(values) + len(gaps))]
    dates = [day for i, day in enumerate(days) if i not in gaps]
    names = columns or [f"c{k}" for k in range(values.shape[1])]
    lines = list(range(2, len(values) + 2))
    return Series("s.csv", names, dates, "day", values, lines, Step(seconds=86_400))


def dataset(made, **options):
    return cuts.dataset(made, "s", window=WINDOW, horizon=HORIZON, **options)


def noise(n, columns=1, seed=0):
    return np.cumsum(np.random.default_rng(seed).normal(size=(n, columns)), axis=0)


def trained(data, seed=0):
    """An untrained model of the data: the linear part makes it the naive forecast and a little."""
    module = catalog.load("forecast")
    model = module.build(module.Config(hidden=4), data.shape, 0, seed=seed).eval()
    info = {"name": "forecast"}
    return Trained(None, model, KIND.fit(data), KIND, data.shape, [], info)


def answers(made, windows):
    """What the model tells of windows, in units."""
    x, about = made.encode(windows)
    with inference(made.model):
        return made.encode.values(made.model(Tensor(x)).numpy(), about)


def test_the_naive_forecast_is_the_last_value():
    values = noise(60)
    part = dataset(series(values)).splits["test"]
    found = baselines.naive(part)
    assert found.shape == (len(part), HORIZON)
    for start, row in zip(part.starts, found, strict=True):
        assert row.tolist() == [values[start - 1, 0]] * HORIZON


@pytest.mark.parametrize("season", [2, 3, 7])
def test_the_seasonal_forecast_is_the_last_value_known_of_that_place_in_the_season(season):
    values = noise(60)
    part = dataset(series(values), season=season).splits["test"]
    found = baselines.seasonal_naive(part)
    for start, row in zip(part.starts, found, strict=True):
        for step, told in enumerate(row):
            place = start + step - season
            while place >= start:
                place -= season
            assert told == values[place, 0]


def test_the_seasonal_forecast_looks_for_the_date_where_days_are_missing():
    values = noise(60)
    made = series(values, gaps=(50, 51))
    part = dataset(made, season=7, ignore_gaps=True).splits["test"]
    found = baselines.seasonal_naive(part)
    row = part.starts.tolist().index(55)
    wanted = made.dates[55] - timedelta(days=7)  # the day 50, which is missing: the one before
    assert wanted not in made.dates
    assert found[row, 0] == values[49, 0]


def test_a_series_shorter_than_a_season_has_no_seasonal_forecast():
    data = dataset(series(noise(60)))
    assert baselines.seasonal_naive(data.splits["test"]) is None
    found = TASK.evaluate(trained(data), data, "test", batch_size=8)
    assert np.isnan(found.figures["rmse_to_seasonal_naive"])
    assert "seasonal_naive" not in found.to_json()["forecasts"]


@pytest.mark.parametrize("columns", [1, 2])
@pytest.mark.parametrize("chunk", [5, 4096])
def test_the_linear_forecast_is_least_squares_in_one_piece(columns, chunk, monkeypatch):
    monkeypatch.setattr(baselines, "CHUNK", chunk)
    data = dataset(series(noise(120, columns)))
    train, test = data.splits["train"], data.splits["test"]
    found = baselines.Linear(train, KIND.fit(data))(test)

    def known(part):
        rows = part.samples(np.arange(len(part)))[..., :columns].reshape(len(part), -1)
        return np.c_[rows, np.ones(len(part))]

    weights = np.linalg.lstsq(known(train), train.labels, rcond=None)[0]
    np.testing.assert_allclose(found, known(test) @ weights, rtol=1e-6, atol=1e-8)


def test_a_linear_series_is_told_exactly():
    values = [3.0, 5.0]
    for _ in range(98):
        values.append(1.9 * values[-1] - 0.95 * values[-2] + 1)
    data = dataset(series(values))
    part = data.splits["test"]
    found = baselines.Linear(data.splits["train"], KIND.fit(data))(part)
    np.testing.assert_allclose(found, part.labels, rtol=1e-6)


def test_figures_are_in_the_units_of_the_series_and_beside_the_baselines():
    data = dataset(series(100 + 10 * noise(90)), season=7)
    made = trained(data)
    seen = []
    found = TASK.evaluate(
        made, data, "test", batch_size=5, on_batch=lambda done, total: seen.append((done, total))
    )
    part = data.splits["test"]
    told = answers(made, part.samples(np.arange(len(part))))
    errors = told - part.labels
    assert found.figures["rmse"] == pytest.approx(np.sqrt(np.mean(errors**2)))
    assert found.figures["mae"] == pytest.approx(np.abs(errors).mean())
    scaled = errors / made.encode.std[0]
    assert found.figures["loss"] == pytest.approx(np.mean(scaled**2), rel=1e-5)
    naive = np.sqrt(np.mean((baselines.naive(part) - part.labels) ** 2))
    assert found.figures["rmse_to_naive"] == pytest.approx(found.figures["rmse"] / naive)
    by_step = found.to_json()["forecasts"]["model"]["rmse_by_step"]
    np.testing.assert_allclose(by_step, np.sqrt(np.mean(errors**2, axis=0)), rtol=1e-6)
    assert found.samples == len(part) == seen[-1][0] == seen[-1][1]
    assert set(TASK.most) <= set(found.figures)


def test_the_figures_of_training_are_those_of_evaluation():
    data = dataset(series(noise(90)), season=7)
    made = trained(data)
    part = data.splits["val"]
    x, about = made.encode(part.samples(np.arange(len(part))))
    batch = SimpleNamespace(inputs=(x, about), y=part.labels)
    (phase,) = made.model.phases()
    loss, outputs = phase.loss(batch)
    found = TASK.evaluate(made, data, "val", batch_size=4)
    squares = made.model.measure(outputs, batch)["squares"]
    assert np.sqrt(squares / len(part)) == pytest.approx(found.figures["rmse"], rel=1e-5)
    assert loss.item() == pytest.approx(found.figures["loss"], rel=1e-5)


def test_what_is_shown_names_every_forecast_and_step():
    data = dataset(series(noise(90)), season=7)
    blocks = TASK.evaluate(trained(data), data, "test", batch_size=99).shown("windows")
    tables = [block for block in blocks if not isinstance(block, str)]
    assert [row[0] for row in tables[0].rows] == ["model", "naive", "seasonal naive", "linear"]
    assert [row[0] for row in tables[1].rows] == [1, 2, 3]


def test_the_plot_has_forecasts_that_follow_each_other_to_the_end(tmp_path):
    data = dataset(series(noise(90)), season=7)
    found = TASK.evaluate(trained(data), data, "test", batch_size=99)
    starts = [at for at, _ in found.forecasts]
    assert starts == sorted(starts)
    assert set(np.diff(starts)) == {HORIZON}
    assert starts[-1] + HORIZON == len(found.dates) == len(found.values) == 18
    (path,) = found.draw(plot, tmp_path, ("val",), "a $ title")
    assert path == tmp_path / "forecast-val.png"
    assert path.read_bytes().startswith(b"\x89PNG")
    assert list(tmp_path.iterdir()) == [path]


def test_a_function_that_draws_and_is_not_there_is_no_attribute():
    with pytest.raises(AttributeError, match="nothing draws 'nonsense'"):
        _ = plot.nonsense


def test_other_data_may_have_its_columns_in_another_order_and_more_of_them():
    values = noise(90, 3)
    data = dataset(series(values[:, :2], ["a", "b"]), season=7)
    other = dataset(series(values[:, [2, 1, 0]], ["c", "b", "a"]), season=7, column="c")
    made = trained(data)
    ours, theirs = (TASK.evaluate(made, d, "test", batch_size=99) for d in (data, other))
    assert theirs.column == "a"
    assert theirs.figures == ours.figures


def test_other_data_without_the_columns_or_with_another_step_is_refused():
    data = dataset(series(noise(90), ["a"]), season=7)
    made = trained(data)
    with pytest.raises(DataError, match="no column 'a'"):
        TASK.evaluate(made, dataset(series(noise(90), ["b"])), "test", batch_size=9)
    hourly = series(noise(90), ["a"])
    hourly = Series(**{**vars(hourly), "step": Step(seconds=3_600)})
    other = dataset(hourly, ignore_gaps=True)
    with pytest.raises(DataError) as caught:
        TASK.evaluate(made, other, "test", batch_size=9)
    assert "1 hour apart, the model's 1 day" in caught.value.why


def test_a_prediction_follows_the_end_of_the_series_with_its_dates():
    data = dataset(series(noise(90), ["a"]), season=7)
    made = trained(data)
    short = series(noise(4), ["a"])
    told, refused = TASK.predict(made, [series(noise(90), ["a"]), short], {})
    assert told["column"] == "a"
    first = datetime(2020, 1, 1) + timedelta(days=90)
    dates = [str((first + timedelta(days=i)).date()) for i in range(HORIZON)]
    assert [step["date"] for step in told["forecast"]] == dates
    whole = data.splits["test"].series
    (expected,) = answers(made, made.encode.last(whole, WINDOW)[None])
    np.testing.assert_allclose([step["value"] for step in told["forecast"]], expected, rtol=1e-6)
    assert refused == {"error": "the series is too short: it has 4 rows, the model looks back on 6"}


def test_the_task_is_found_by_the_kind_and_lower_is_better():
    assert tasks.of(KIND) is TASK
    *figures, last = tasks.names(TASK)
    assert figures == ["loss", "rmse", "val_loss", "val_rmse"]
    assert all(lower_is_better(name) for name in figures)
    assert last == "step"
    assert not lower_is_better(last)
