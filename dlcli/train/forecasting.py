"""The task of telling what follows a series, measured against forecasts that need no network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dlcli.data.series import SeriesSplit
from dlcli.data.series_dates import write
from dlcli.errors import DataError
from dlcli.train import forecast_baselines as baselines
from dlcli.train import jsonfile
from dlcli.train.answers import answers
from dlcli.train.evaluate import inference
from dlcli.train.task import Table, Trained

MODEL = "model"
BASELINES = ("naive", "seasonal_naive", "linear")
DRAWN = 120  # steps of a part that a plot shows, at its end


@dataclass(frozen=True)
class Evaluation:
    """The errors of forecasts on n windows, in the units of the target.

    loss: of the model, in deviations of the training part. squares, absolutes: by forecast, "model"
    and those of BASELINES that there are, the mean squared and absolute error of each step ahead,
    (horizon,) float64. column: the target. shows: rows of dates, of values and of forecasts that do
    not overlap, for a plot.
    """

    samples: int
    column: str
    loss: float
    squares: Mapping[str, np.ndarray]
    absolutes: Mapping[str, np.ndarray]
    dates: Sequence[Any]
    values: np.ndarray
    forecasts: Sequence[tuple[int, np.ndarray]]

    def rmse(self, name: str) -> float:
        """Over all windows and steps; NaN where there is no such forecast."""
        found = self.squares.get(name)
        return float("nan") if found is None else float(np.sqrt(found.mean()))

    @property
    def figures(self) -> dict[str, float]:
        """ "loss", "rmse", "mae", and "rmse_to_naive": the RMSE as a share of that forecast's."""
        rmse = self.rmse(MODEL)
        shares = {}
        for name in BASELINES:
            theirs = self.rmse(name)
            shares[f"rmse_to_{name}"] = rmse / theirs if theirs else float("nan")
        return {
            "loss": self.loss,
            "rmse": rmse,
            "mae": float(self.absolutes[MODEL].mean()),
            **shares,
        }

    def to_json(self) -> dict[str, Any]:
        """Plain values; what is not finite is None."""
        return jsonfile.plain(
            {
                **self.figures,
                "samples": self.samples,
                "column": self.column,
                "forecasts": {
                    name: {
                        "rmse": self.rmse(name),
                        "mae": self.absolutes[name].mean(),
                        "rmse_by_step": np.sqrt(self.squares[name]),
                        "mae_by_step": self.absolutes[name],
                    }
                    for name in self.squares
                },
            }
        )

    def shown(self, many: str) -> list[str | Table]:
        """All forecasts side by side, and their errors by step."""
        rows = []
        for name in self.squares:
            share = self.rmse(MODEL) / self.rmse(name) - 1 if self.rmse(name) else 0.0
            beside = "" if name == MODEL else f"{share:+.1%}"
            cells = (f"{self.rmse(name):.4f}", f"{self.absolutes[name].mean():.4f}", beside)
            rows.append((_words(name), *cells))
        blocks: list[str | Table] = [
            f"{self.column}, in its units\n",
            Table(("forecast", "RMSE", "MAE", "model's RMSE beside it"), rows),
        ]
        if "seasonal_naive" not in self.squares:
            blocks.append("no seasonal naive forecast: the series has none or reaches not back")
        steps = [
            (step + 1, *(f"{np.sqrt(found[step]):.4f}" for found in self.squares.values()))
            for step in range(len(self.squares[MODEL]))
        ]
        header = ("RMSE, steps ahead", *(_words(name) for name in self.squares))
        return [*blocks, "", Table(header, steps)]

    def draw(self, plots: Any, folder: Path, words: Sequence[str], title: str) -> list[Path]:
        """The end of the part with forecasts that follow each other, and errors by step."""
        path = folder / f"{'-'.join(('forecast', *words))}.png"
        errors = {_words(name): np.sqrt(found) for name, found in self.squares.items()}
        about = (self.column, self.dates, self.values, self.forecasts)
        plots.forecast(*about, errors, path, title)
        return [path]


def _words(name: str) -> str:
    return name.replace("_", " ")


class Forecasting:
    """See `task.Task`."""

    monitor = "val_loss"
    least = ()
    most = ("rmse", "mae", "loss", *(f"rmse_to_{name}" for name in BASELINES))

    def __init__(self) -> None:
        self.figures = {"rmse": ".4g"}
        self.options: dict[str, Any] = {}

    def evaluate(
        self,
        trained: Trained,
        dataset: Any,
        part: str,
        *,
        batch_size: int,
        on_batch: Callable[[int, int], None] | None = None,
    ) -> Evaluation:
        """The errors of the model and of the baselines. The linear one is fitted on the training
        part of `dataset`.
        """
        split, train = _like(trained, dataset, part), _like(trained, dataset, "train")
        encode: Any = trained.encode
        told, loss = answers(
            trained,
            split,
            batch_size,
            on_batch,
            lambda found, batch: encode.values(found, batch.inputs[-1]),
        )
        found: dict[str, np.ndarray | None] = {
            MODEL: told,
            "naive": baselines.naive(split),
            "seasonal_naive": baselines.seasonal_naive(split),
            "linear": baselines.Linear(train, trained.encode)(split),
        }
        errors = {k: told - split.labels for k, told in found.items() if told is not None}
        horizon = split.layout.horizon
        first = max(split.rows[1] - max(DRAWN, horizon), split.rows[0])
        starts = range(len(split) - 1, -1, -horizon)
        shown = [i for i in reversed(starts) if split.starts[i] >= first]
        series, rows = split.series, slice(first, split.rows[1])
        return Evaluation(
            samples=len(split),
            column=series.columns[0],
            loss=loss,
            squares={k: np.square(error).mean(axis=0) for k, error in errors.items()},
            absolutes={k: np.abs(error).mean(axis=0) for k, error in errors.items()},
            dates=series.dates[rows],
            values=series.values[rows, 0],
            forecasts=[(int(split.starts[i]) - first, told[i]) for i in shown],
        )

    def predict(
        self, trained: Trained, samples: list[Any], options: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        """ "column" and "forecast", a list of {"date", "value"}; "error" where a series is not what
        the model takes.
        """
        return [_told(trained, series) for series in samples]


def _like(trained: Trained, dataset: Any, part: str) -> SeriesSplit:
    """A part with the model's columns in its order. DataError: it is empty, or of another step."""
    split: SeriesSplit = dataset.splits[part].of(trained.encode.columns)
    if split.series.step != trained.encode.step:
        why = f"its rows are {split.series.step} apart, the model's {trained.encode.step}"
        raise DataError(f"{dataset.name}: is no such series", why=why)
    if not len(split):
        raise DataError(f"{dataset.name}: its {part} part is empty")
    return split


def _told(trained: Trained, series: Any) -> dict[str, Any]:
    """The horizon after the end of a series."""
    encode: Any = trained.encode
    try:
        window = encode.last(series, trained.shape[0])
        steps = range(1, trained.shape[2] + 1)
        dates = [encode.step.after(series.dates[-1], step) for step in steps]
    except DataError as error:
        said = ": ".join(filter(None, (error.what, error.why)))
        return {"error": said.removeprefix(f"{series.name}: ")}
    x, about = encode(window[None])
    with inference(trained.model):
        (values,) = encode.values(trained.planned()(x)[0], about)
    told = zip(dates, values, strict=True)
    forecast = [{"date": write(date, series.form), "value": float(v)} for date, v in told]
    return {"column": encode.columns[0], "forecast": forecast}


TASK = Forecasting()
