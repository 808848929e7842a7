"""The open data sets: where they are, which of their files are needed, and under what terms."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lstm_adversarial_attack.errors import UserError
from lstm_adversarial_attack.fetch.options import FetchOptions

LICENCE_FILE = "LICENSE.txt"

#: Path in the release to SHA-256 in hexadecimal.
Sums = dict[str, str]

DEMO_TABLES = (
    "ADMISSIONS",
    "CALLOUT",
    "CAREGIVERS",
    "CHARTEVENTS",
    "CPTEVENTS",
    "DATETIMEEVENTS",
    "DIAGNOSES_ICD",
    "DRGCODES",
    "D_CPT",
    "D_ICD_DIAGNOSES",
    "D_ICD_PROCEDURES",
    "D_ITEMS",
    "D_LABITEMS",
    "ICUSTAYS",
    "INPUTEVENTS_CV",
    "INPUTEVENTS_MV",
    "LABEVENTS",
    "MICROBIOLOGYEVENTS",
    "NOTEEVENTS",
    "OUTPUTEVENTS",
    "PATIENTS",
    "PRESCRIPTIONS",
    "PROCEDUREEVENTS_MV",
    "PROCEDURES_ICD",
    "SERVICES",
    "TRANSFERS",
)
CHALLENGE_SETS = ("a", "b", "c")


@dataclass(frozen=True)
class Release:
    """One version of a data set.

    ``check`` refuses bad options before anything is asked of a server; ``choose`` picks the files to fetch from
    all that the release lists; ``source`` is the address of the folder that they were fetched into, as
    `lstm-aa run` takes it.
    """

    title: str
    address: str
    licence: str
    citation: str
    check: Callable[[FetchOptions], object]
    choose: Callable[[Sums, FetchOptions], Sums]
    source: Callable[[Path, FetchOptions, Sums], str]

    def next_command(self, name: str, out: Path, options: FetchOptions, files: Sums) -> str:
        """Return the command that goes on with the files fetched."""
        return shlex.join(["lstm-aa", "run", "--source", self.source(out, options, files), "--out", f"runs/{name}"])


def _check_demo(options: FetchOptions) -> None:
    if options.sets != FetchOptions.sets:
        raise UserError(
            f"--sets {options.sets}: only challenge-2012 has sets ({','.join(CHALLENGE_SETS)}); leave it out"
        )


def _choose_demo(listed: Sums, _options: FetchOptions) -> Sums:
    return _all_of([LICENCE_FILE, *(f"{table}.csv" for table in DEMO_TABLES)], listed)


def _demo_source(out: Path, _options: FetchOptions, _files: Sums) -> str:
    return f"csv:{out}"


def _choose_challenge(listed: Sums, options: FetchOptions) -> Sums:
    chosen = [LICENCE_FILE] if LICENCE_FILE in listed else []
    for name in _sets(options):
        chosen += [f"Outcomes-{name}.txt", *_set_files(name, listed)]
    return _all_of(chosen, listed)


def _challenge_source(out: Path, options: FetchOptions, files: Sums) -> str:
    return "challenge2012:" + ",".join(str(out / _set_address(name, files)) for name in _sets(options))


def _sets(options: FetchOptions) -> list[str]:
    names = list(dict.fromkeys(name.strip() for name in options.sets.split(",")))
    strange = [name for name in names if name not in CHALLENGE_SETS]
    if strange:
        raise UserError(f"--sets {options.sets}: no set {strange[0]!r}; give some of {','.join(CHALLENGE_SETS)}")
    return names


def _set_files(name: str, listed: Sums) -> list[str]:
    """Return the archive of a set, or its records one by one where the release has no archive."""
    address = _set_address(name, listed)
    if address in listed:
        return [address]
    records = [path for path in listed if path.startswith(f"{address}/") and path.endswith(".txt")]
    if not records:
        raise UserError(f"the release lists neither an archive nor records of set {name}; leave it out of --sets")
    return records


def _set_address(name: str, listed: Sums) -> str:
    archives = (f"set-{name}.tar.gz", f"set-{name}.zip")
    return next((archive for archive in archives if archive in listed), f"set-{name}")


def _all_of(names: list[str], listed: Sums) -> Sums:
    missing = [name for name in names if name not in listed]
    if missing:
        raise UserError(f"the release's SHA256SUMS.txt lists no {missing[0]}; is the address that of this data set?")
    return {name: listed[name] for name in names}


_PHYSIONET = "Goldberger A. et al., PhysioBank, PhysioToolkit, and PhysioNet, Circulation 101(23), e215-e220 (2000)"

RELEASES = {
    "mimic-iii-demo": Release(
        title="MIMIC-III Clinical Database Demo 1.4",
        address="https://physionet.org/files/mimiciii-demo/1.4/",
        licence="Open Data Commons Open Database License v1.0",
        citation="Johnson A., Pollard T., Mark R., MIMIC-III Clinical Database Demo (version 1.4), PhysioNet (2019), "
        "https://doi.org/10.13026/C2HM2Q; Johnson A. E. W. et al., MIMIC-III, a freely accessible critical care "
        f"database, Scientific Data 3, 160035 (2016); {_PHYSIONET}",
        check=_check_demo,
        choose=_choose_demo,
        source=_demo_source,
    ),
    "challenge-2012": Release(
        title="PhysioNet / Computing in Cardiology Challenge 2012 1.0.0",
        address="https://physionet.org/files/challenge-2012/1.0.0/",
        licence="Open Data Commons Attribution License v1.0",
        citation="Silva I., Moody G., Scott D. J., Celi L. A., Mark R. G., Predicting in-hospital mortality of ICU "
        f"patients, Computing in Cardiology 39:245-248 (2012); {_PHYSIONET}",
        check=_sets,
        choose=_choose_challenge,
        source=_challenge_source,
    ),
}
