"""The programs: jobs on real data, and patterns of memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Program:
    """A file with a function `work`, and the arguments of one call."""

    name: str
    file: Path
    about: str
    kind: str = "job"  #: which targets it has: "job", "pattern" or "large array"
    arguments: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()  #: the distributions that it imports or reads data from


def _job(name: str, about: str, *packages: str) -> Program:
    return Program(name, HERE / "jobs" / f"{name}.py", about, packages=packages)


def _pattern(name: str, about: str, file: str, *arguments: str, kind: str = "pattern") -> Program:
    packages = ("pandas",) if file == "tables" else ()
    return Program(name, HERE / "patterns" / f"{file}.py", about, kind, arguments, packages)


_PROGRAMS = (
    _job("dicom", "CT and MR series made isotropic and projected", "pydicom", "SimpleITK", "scipy"),
    _job("loader", "photographs augmented in two forked workers for torch", "torch", "scikit-image"),
    _job("seismology", "records filtered, triggered, spectrograms", "obspy", "scipy"),
    _job(
        "features", "textures in two joblib threads, PCA, clusters", "scikit-learn", "scikit-image", "joblib", "scipy"
    ),
    _job("video", "clips decoded, denoised and encoded anew", "av", "scikit-image", "scipy"),
    _job("tiles", "satellite tiles classified in two threads", "rasterio", "scikit-image", "scipy"),
    _job("audio", "recordings denoised by spectral gating", "scipy", "pygame-ce"),
    _job("climatology", "monthly maps: anomalies, trends, seasons", "xarray", "pandas", "h5py", "pvlib"),
    _job("etl", "records cleaned, joined and summarised", "pandas", "statsmodels"),
    _job("astronomy", "sources of the Hubble deep field", "photutils", "astropy", "scipy", "scikit-image"),
    _job("brain", "MNI templates smoothed and resampled", "nilearn", "nibabel"),
    _job("opencv", "photographs aligned, fused and matched", "opencv-python-headless", "scikit-image"),
    _pattern("resize", "an array grown in place to 384 MiB", "resize", "384"),
    _pattern("resize 512 MiB", "an array grown in place to 512 MiB", "resize", "512", kind="large array"),
    _pattern("concatenate", "an array grown by copies to 160 MiB", "concatenate"),
    _pattern("log-uniform", "1 KiB to 64 MiB, at most 400 MiB alive", "log_uniform", "1"),
    _pattern("log-uniform, 4 threads", "1 KiB to 64 MiB, at most 400 MiB alive", "log_uniform", "4"),
    _pattern("crops", "crops of varying size in an expression", "crops"),
    _pattern("tables", "pandas with tables of varying length", "tables"),
    _pattern("survivors", "one small array in 400 survives its job", "survivors"),
    _pattern("bursts", "bursts of 256 MiB between small requests", "bursts"),
    _pattern("handoff", "frames of four sizes between three threads", "handoff"),
)
PROGRAMS = {program.name: program for program in _PROGRAMS}
JOBS = [program.name for program in _PROGRAMS if program.kind == "job"]
