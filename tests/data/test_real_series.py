"""The published series as they lie on a user's disk, where $DLCLI_DATA has them."""

import numpy as np
import pytest

from dlcli.data import catalog
from dlcli.errors import DataError
from dlcli.train import forecast_baselines as baselines

pytestmark = pytest.mark.real_data
NAMES = ["airline-passengers", "daily-min-temperatures"]


def load(name, real_data, **options):
    if catalog.describe(name, data_dir=real_data).folder is None:
        pytest.skip(f"DLCLI_DATA has no {name}")
    return catalog.load(name, data_dir=real_data, **options)


@pytest.mark.parametrize("name", NAMES)
def test_a_series_is_what_its_module_says(name, real_data):
    dataset = load(name, real_data)
    info = catalog.describe(name)
    assert {part: len(split) for part, split in dataset.splits.items()} == info.counts
    assert dataset.shape == info.shape
    assert dataset.recipe == info.recipe


def test_temperatures_have_365_days_a_year_and_lack_the_last_of_leap_years(real_data):
    whole = load("daily-min-temperatures", real_data).splits["test"].series
    years = np.unique([date.year for date in whole.dates], return_counts=True)
    assert years[1].tolist() == [365] * 10
    assert whole.columns == ["Temp"]
    assert (whole.values.min(), whole.values.max()) == (0, 26.3)
    with pytest.raises(DataError, match=r":1462: 1985-01-01 does not follow 1984-12-30"):
        whole.check_steps(whole.step)


def test_the_baselines_of_temperatures_are_the_known_ones(real_data):
    dataset = load("daily-min-temperatures", real_data)
    part = dataset.splits["test"]

    def rmse(told):
        return float(np.sqrt(np.square(told - part.labels).mean()))

    linear = baselines.Linear(dataset.splits["train"], dataset.kind.fit(dataset))
    assert rmse(baselines.naive(part)) == pytest.approx(3.3211, abs=1e-4)
    assert rmse(linear(part)) == pytest.approx(2.6590, abs=1e-4)
    assert rmse(baselines.seasonal_naive(part)) == pytest.approx(3.7479, abs=1e-4)


def test_passengers_are_monthly_and_end_with_1960(real_data):
    whole = load("airline-passengers", real_data, horizon=6).splits["test"].series
    assert (whole.written(0), whole.written(len(whole) - 1)) == ("1949-01", "1960-12")
    assert str(whole.step) == "1 month"
    assert whole.step.season == 12
