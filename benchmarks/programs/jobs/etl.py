"""Data preparation with pandas: an insurance experiment's records (statsmodels) read, cleaned, joined, summarised."""

import io
from pathlib import Path

import numpy as np
import pandas as pd
import statsmodels.datasets.randhie as randhie

DATA = Path(randhie.__file__).parent / "randhie.csv"
BATCHES = (12, 40, 20, 60, 30)


def extract(copies, seed):
    """A batch of records: those of the study several times over, each with a person and a day."""
    records = pd.concat([pd.read_csv(DATA)] * copies, ignore_index=True)
    rng = np.random.default_rng(seed)
    records["person"] = rng.integers(0, len(records) // 8, len(records))
    records["day"] = pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 1500, len(records)), unit="D")
    return records


def transform(records):
    records = records[(records.disea >= 0) & records.lncoins.notna()].copy()
    records["cost"] = np.expm1(records.lncoins) * (1 + records.mdvis)
    records["risk"] = pd.cut(records.disea, [-1, 5, 15, 100], labels=["low", "middle", "high"])
    persons = records.groupby("person").agg(visits=("mdvis", "sum"), cost=("cost", "mean"), last=("day", "max"))
    joined = records.merge(persons, on="person", suffixes=("", "_person")).sort_values(["person", "day"])
    joined["gap"] = joined.groupby("person").day.diff().dt.days.fillna(0)
    joined["share"] = joined.cost / joined.cost_person.where(joined.cost_person > 0, 1)
    return joined


def summarise(joined):
    monthly = joined.groupby([joined.day.dt.to_period("M"), "risk"], observed=True).cost.mean().unstack()
    quantiles = joined.groupby("risk", observed=True)[["share", "gap", "mdvis"]].quantile([0.1, 0.5, 0.9])
    text = io.StringIO()
    monthly.to_csv(text)
    return [monthly.to_numpy(), quantiles.to_numpy(), np.frombuffer(text.getvalue().encode(), np.uint8)]


def work():
    return [result for seed, copies in enumerate(BATCHES) for result in summarise(transform(extract(copies, seed)))]
