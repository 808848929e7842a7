"""Preprocessing of a cohort as large as MIMIC-III's, against a plain version that goes stay by stay with pandas.

Events are drawn at the density of the MIMIC-III demo. Both versions read Parquet, make the tensors and write them,
each in a process of its own. The plain version is that of the tests, does some of the stays, and the rest is
extrapolated. `seconds` is that work; `whole s` is the stage as a user calls it, which also verifies the checksums of
its input and seals its output.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

    from lstm_adversarial_attack.catalogue import FeatureSet
    from lstm_adversarial_attack.stage import Context

# The process that a user calls stays small, because Linux counts its memory into what its children report.

TESTS = Path(__file__).parents[1] / "tests"
HOURS = 48
SEED = 0
STAYS_AT_ONCE = 4096
#: Values in the first 48 hours of a stay, on average of the 73 stays of the MIMIC-III demo that lasted so long.
RATES = {
    "potassium": 5.0,
    "calcium": 1.9,
    "ph": 4.3,
    "pco2": 4.1,
    "lactate": 2.3,
    "albumin": 0.6,
    "bun": 3.7,
    "creatinine": 3.7,
    "sodium": 4.1,
    "bicarbonate": 3.6,
    "platelet": 3.3,
    "glucose": 4.5,
    "magnesium": 3.6,
    "heart_rate": 55.2,
    "sysbp": 57.1,
    "diasbp": 57.0,
    "temperature": 16.4,
    "resp_rate": 57.9,
    "spo2": 54.6,
}
OTHER_RATE = 6.0
#: For each protocol: hours that events cover, their density beside that of the demo, and settings.
PROTOCOLS: dict[str, dict[str, Any]] = {
    "clinical": {"covers": (0, 48), "density": 1.17, "settings": {}},
    "reference": {
        "covers": (-12, 84),
        "density": 0.93,
        "settings": {"imputation": "interpolate", "scaling": "min-max", "statistics": "all"},
    },
}


def main() -> None:
    """Print the table and the targets."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stays", type=int, default=42_000)
    parser.add_argument("--naive-stays", type=int, default=2_100, help="stays that the plain version really does")
    parser.add_argument("--features", default="icu-19", help="feature set of the catalogue")
    parser.add_argument("--part", choices=("events", "stage", "naive"), help=argparse.SUPPRESS)
    parser.add_argument("--protocol", choices=PROTOCOLS, default="clinical", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        part = {"events": make_events, "stage": run_stage, "naive": run_naive}[options.part]
        print(json.dumps(part(options)))
        return
    print(f"preprocessing, {HOURS} hours, {options.features}, {options.stays:,} stays; naive: pandas, stay by stay")
    names = f"{'rows':>11} {'stays':>7} {'seconds':>8} {'cpu s':>7} {'rows/s':>11} {'whole s':>8} {'peak GB':>8}"
    print(f"{'':<20} {names}")
    worst = {"speed": float("inf"), "seconds": 0.0, "gb": 0.0}
    for protocol in PROTOCOLS:
        with tempfile.TemporaryDirectory() as folder:
            stage, naive = measure(protocol, Path(folder), options)
        share = naive["stays"] / stage["stays"]
        worst["speed"] = min(worst["speed"], naive["seconds"] / share / stage["seconds"])
        worst["seconds"] = max(worst["seconds"], stage["whole_s"])
        worst["gb"] = max(worst["gb"], stage["gb"])
        if share < 1:
            seconds, rows = naive["seconds"] / share, naive["rows"] / share
            print(f"{'  extrapolated':<20} {rows:>11,.0f} {stage['stays']:>7,} {seconds:>8.1f}  (linear in stays)")
    print("Of the two protocols, the worse figure:")
    verdict("preprocess-speed-up", worst["speed"], ".0f", "at least 50 times naive pandas", worst["speed"] >= 50)
    verdict("preprocess-seconds", worst["seconds"], ".1f", "at most 12", worst["seconds"] <= 12)
    verdict("preprocess-memory-gb", worst["gb"], ".2f", "at most 4", worst["gb"] <= 4)


def measure(protocol: str, folder: Path, options: argparse.Namespace) -> tuple[dict[str, Any], dict[str, Any]]:
    """Make events and run both versions on them, each in its own process; print a row for each."""
    call(protocol, "events", folder, options)
    figures = []
    for part, name in (("stage", protocol), ("naive", f"{protocol}, naive")):
        figure = call(protocol, part, folder, options)
        whole = f"{figure['whole_s']:.1f}" if "whole_s" in figure else "-"
        row = f"{figure['rows']:>11,} {figure['stays']:>7,} {figure['seconds']:>8.1f} {figure['cpu_s']:>7.1f}"
        rate = figure["rows"] / figure["seconds"]
        print(f"{name:<20} {row} {rate:>11,.0f} {whole:>8} {figure['gb']:>8.2f}", flush=True)
        figures.append(figure)
    return figures[0], figures[1]


def call(protocol: str, part: str, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Carry out one part in a process of its own and return its figures."""
    command = [sys.executable, __file__, "--part", part, "--protocol", protocol, "--folder", str(folder)]
    command += ["--stays", str(options.stays), "--naive-stays", str(options.naive_stays)]
    command += ["--features", options.features]
    figures: dict[str, Any] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return figures


def verdict(name: str, figure: float, form: str, goal: str, met: bool) -> None:
    """Print one target."""
    print(f"target {name}: {figure:{form}} ({goal}) {'met' if met else 'missed'}")


@contextmanager
def measured() -> Iterator[dict[str, Any]]:
    """Yield a dictionary and put seconds, processor seconds and the process's peak memory (GB) into it."""
    figures: dict[str, Any] = {}
    started, started_cpu = time.perf_counter(), time.process_time()
    yield figures
    figures["seconds"] = time.perf_counter() - started
    figures["cpu_s"] = time.process_time() - started_cpu
    figures["gb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def make_events(options: argparse.Namespace) -> dict[str, Any]:
    """Write an events artifact."""
    import polars as pl

    from lstm_adversarial_attack.artifacts import Identity, write_artifact
    from lstm_adversarial_attack.artifacts.contents import CohortStep, Extraction
    from lstm_adversarial_attack.catalogue import load_catalogue
    from lstm_adversarial_attack.frames import STAYS, sink

    features = load_catalogue().feature_set(options.features)
    stays = draw_stays(options.stays)
    starts = range(0, options.stays, STAYS_AT_ONCE)
    parts = [draw_rows(stays["stay_id"][s : s + STAYS_AT_ONCE], s, features, options.protocol).lazy() for s in starts]
    identity = Identity(kind="events", settings={}, seed=SEED, inputs={})
    with write_artifact(options.folder / "events", identity, stage="extract") as draft:
        draft.write_frame("stays.parquet", stays, STAYS)
        sink(pl.concat(parts), draft.path / "measurements.parquet")
        draft.write_json("features.json", features)
        flow = [CohortStep("all", "ICU stays", len(stays), stays["subject_id"].n_unique(), stays["label"].sum())]
        extraction = Extraction(HOURS, "icu-stay", "mimic-iii", flow, {}, [], [])
        draft.write_json("extraction.json", extraction)
    return {}


def draw_stays(count: int) -> pl.DataFrame:
    """Return stays (`frames.STAYS`), 1.2 a patient, of which a tenth ends in death."""
    import numpy as np
    import polars as pl

    from lstm_adversarial_attack.frames import STAYS, typed

    rng = np.random.default_rng(SEED)
    columns = {
        "stay_id": np.arange(200_000, 200_000 + count),
        "subject_id": rng.integers(0, round(count / 1.2), count),
        "hadm_id": np.arange(100_000, 100_000 + count),
        "age_years": rng.integers(18, 92, count),
        "sex": rng.choice(["F", "M"], count),
        "unit": rng.choice(["CCU", "CSRU", "MICU", "SICU", "TSICU"], count),
        "charting_system": "metavision",
        "los_hours": 96.0,
        "label": rng.random(count) < 0.1,
    }
    return typed(pl.DataFrame(columns), STAYS)


def draw_rows(stay_ids: pl.Series, seed: int, features: FeatureSet, protocol: str) -> pl.DataFrame:
    """Return the measurements (`frames.MEASUREMENTS`) of some stays."""
    import numpy as np
    import polars as pl

    from lstm_adversarial_attack.frames import MEASUREMENTS, with_features

    rng = np.random.default_rng([SEED, seed])
    schema = with_features(MEASUREMENTS, features.recorded_names)
    first, end = PROTOCOLS[protocol]["covers"]
    factor = PROTOCOLS[protocol]["density"] * (end - first) / HOURS
    frames = []
    for feature in features.recorded:
        entry = feature.measurement
        counts = rng.poisson(RATES.get(feature.name, OTHER_RATE) * factor, len(stay_ids))
        low, high = entry.physiological
        spread = rng.normal(entry.normal, (high - low) / 12, counts.sum())
        columns = {
            "stay_id": np.repeat(stay_ids.to_numpy(), counts),
            "minute": rng.integers(60 * first, 60 * end, counts.sum(), dtype=np.int32),
            "feature": pl.Series([feature.name], dtype=schema["feature"]).new_from_index(0, int(counts.sum())),
            "value": np.round(np.clip(spread, low, high) / entry.precision) * entry.precision,
        }
        frames.append(pl.DataFrame(columns))
    return pl.concat(frames).sort(list(schema))


def run_stage(options: argparse.Namespace) -> dict[str, Any]:
    """Carry out the stage as the command line does."""
    import polars as pl

    from lstm_adversarial_attack.settings import PreprocessSettings
    from lstm_adversarial_attack.stage import carry_out, load_stage

    settings = PreprocessSettings(**PROTOCOLS[options.protocol]["settings"])
    events, out = options.folder / "events", options.folder / "dataset"
    stage, work = load_stage("preprocess"), {}

    def run(context: Context) -> None:
        with measured() as figures:
            stage.run(context)
        work.update(figures)

    with measured() as whole:
        carry_out(replace(stage, run=run), settings=settings, inputs={"events": events}, out=out)
    rows = pl.scan_parquet(events / "measurements.parquet").select(pl.len()).collect().item()
    return {**work, "whole_s": whole["seconds"], "gb": whole["gb"], "rows": rows, "stays": options.stays}


def run_naive(options: argparse.Namespace) -> dict[str, Any]:
    """Do the work of the stage, stay by stay, on the first of the stays."""
    import numpy as np
    import polars as pl

    sys.path.insert(0, str(TESTS))
    from lstm_adversarial_attack.catalogue import load_catalogue
    from lstm_adversarial_attack.settings import PreprocessSettings
    from oracles.preprocess import Column, naive_preprocess

    settings = PreprocessSettings(**PROTOCOLS[options.protocol]["settings"])
    features = load_catalogue().feature_set(options.features)
    columns = [
        Column(f.name, f.measurement.normal, *f.measurement.physiological, f.measurement.hourly == "sum")
        for f in features.features
    ]
    with measured() as figures:
        samples = pl.read_parquet(options.folder / "dataset" / "samples.parquet").head(options.naive_stays)
        measurements = as_pandas(options.folder / "events" / "measurements.parquet", samples["stay_id"].max())
        made = naive_preprocess(
            samples["stay_id"].to_list(),
            [settings.statistics == "all" or split == "train" for split in samples["split"]],
            measurements,
            columns,
            hours=HOURS,
            imputation=settings.imputation,
            scaling=settings.scaling,
        )
        tensors = {"values": made.values, "observed": made.observed, "last_observed": made.last_observed}
        np.savez(options.folder / "naive.npz", **tensors)
    return figures | {"stays": len(samples), "rows": len(measurements)}


def as_pandas(path: Path, last_stay: int) -> pd.DataFrame:
    """Read the measurements up to a stay; features as categories, which takes less time than text."""
    import pandas as pd
    import polars as pl

    rows = pl.scan_parquet(path).filter(pl.col("stay_id") <= last_stay).collect()
    names = rows.schema["feature"].categories.to_list()
    feature = pd.Categorical.from_codes(rows["feature"].to_physical().to_numpy(), names)
    plain = {name: rows[name].to_numpy() for name in ("stay_id", "minute", "value")}
    return pd.DataFrame({**plain, "feature": feature})


if __name__ == "__main__":
    main()
