"""Climatology with xarray: pvlib's monthly maps of turbidity, as a series of years: anomalies, trends, zonal means."""

from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pvlib
import xarray as xr

DATA = Path(pvlib.__file__).parent / "data" / "LinkeTurbidities.h5"
#: Regions by latitude and longitude, of several sizes, and the years of each.
REGIONS = (((72, 35), (-12, 40), 6), ((37, -35), (-18, 52), 2), ((8, -4), (95, 142), 12), ((50, 25), (-125, -66), 8))


def read(latitudes, longitudes, years):
    """The region's twelve maps for each of the years, with a trend and noise on top."""
    top, bottom = ((90 - latitude) * 12 for latitude in latitudes)
    left, right = ((longitude + 180) * 12 for longitude in longitudes)
    with h5py.File(DATA) as file:
        maps = file["LinkeTurbidity"][top:bottom:2, left:right:2].transpose(2, 0, 1).astype(np.float32) / 20
    rng = np.random.default_rng(years)
    series = np.concatenate([maps + 0.02 * year + 0.1 * rng.random(maps.shape, np.float32) for year in range(years)])
    coordinates = {
        "time": pd.date_range("2000-01", periods=12 * years, freq="MS"),
        "lat": np.linspace(*latitudes, maps.shape[1]),
        "lon": np.linspace(*longitudes, maps.shape[2]),
    }
    return xr.DataArray(series, coordinates, ("time", "lat", "lon"))


def analyse(series):
    months = series.groupby("time.month")
    anomalies = months - months.mean("time")
    smooth = anomalies.rolling(time=3, min_periods=1).mean()
    trend = smooth.polyfit("time", 1).polyfit_coefficients
    weights = np.cos(np.deg2rad(series.lat))
    coarse = series.coarsen(lat=4, lon=4, boundary="trim").mean()
    seasons = series.groupby("time.season").max("time")
    return [trend.mean("lon"), series.weighted(weights).mean(("lat", "lon")), coarse.std("time"), seasons.mean("lon")]


def work():
    return [result.values for region in REGIONS for result in analyse(read(*region))]
