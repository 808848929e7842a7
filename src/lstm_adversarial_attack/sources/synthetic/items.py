"""What the synthetic wards chart: item ids, labels, units, and the physiological signal behind each item.

Item ids, labels, units and categories are those of the MIMIC-III dictionaries (`D_ITEMS`, `D_LABITEMS`). A
panel is a group of items that are written down together, so that a systolic pressure and its diastolic share
one charttime. The names in `signal` are the keys of `physiology.Course.signals`.
"""

from dataclasses import dataclass, field
from typing import Literal

import polars as pl

System = Literal["carevue", "metavision"]
Route = Literal[
    "all", "arterial", "cuff", "manual_cuff", "second_line", "celsius", "fahrenheit", "ventilated", "diabetic"
]
LabKind = Literal["chemistry", "blood_gas"]

GCS_EYE = ("1 No Response", "2 To pain", "3 To speech", "4 Spontaneously")
GCS_VERBAL = ("1 No Response", "2 Incomp sounds", "3 Inapprop words", "4 Confused", "5 Oriented")
GCS_MOTOR = (
    "1 No Response",
    "2 Abnorm extensn",
    "3 Abnorm flexion",
    "4 Flex-withdraws",
    "5 Localizes Pain",
    "6 Obeys Commands",
)
MV_GCS_EYE = ("None", "To Pain", "To Speech", "Spontaneously")
MV_GCS_VERBAL = ("No Response", "Incomprehensible sounds", "Inappropriate Words", "Confused", "Oriented")
MV_GCS_MOTOR = (
    "No response",
    "Abnormal extension",
    "Abnormal Flexion",
    "Flex-withdraws",
    "Localizes Pain",
    "Obeys Commands",
)
RHYTHM = ("Normal Sinus", "Sinus Tachy", "Atrial Fib")
MV_RHYTHM = ("SR (Sinus Rhythm)", "ST (Sinus Tachycardia)", "AF (Atrial Fibrillation)")

HEART_RATE_SLIPS = (0.0, 880.0, 999.0)
SYSBP_SLIPS = (11647.0, 1201.0, 999.0, 0.0)
DIASBP_SLIPS = (635.0, 999.0, 0.0)
RESP_RATE_SLIPS = (235.0, 1800.0, 99.0)
SPO2_SLIPS = (103.0, 979.0, 110.0, 0.0)
FAHRENHEIT_SLIPS = (986.0, 9.9, 37.1, 0.0)
CELSIUS_SLIPS = (98.6, 371.0, 3.7)


@dataclass(frozen=True)
class ChartItem:
    """One item of CHARTEVENTS.

    `uom` is the text in VALUEUOM; `decimals` is the recording precision; `noise_sd` (per reading) and
    `bias_sd` (per stay) are in the item's own unit; `slips` are impossible entries seen at a low rate. With
    `texts` the signal is a 1-based code and VALUE is its text; VALUENUM is then the code, or NULL if
    `text_only`. `single_precision` items carry the float32 digits CareVue left in the release (98.5999984741211).
    """

    item_id: int
    label: str
    signal: str
    uom: str | None = None
    category: str | None = None
    abbreviation: str | None = None
    unit_name: str | None = None
    param_type: str | None = None
    decimals: int = 0
    noise_sd: float = 0.0
    bias_sd: float = 0.0
    zero_rate: float = 0.0
    slips: tuple[float, ...] = ()
    texts: tuple[str, ...] = ()
    text_only: bool = False
    single_precision: bool = False
    result_status: str | None = None

    @property
    def system(self) -> System:
        """The charting system: ids below 220000 are CareVue."""
        return "carevue" if self.item_id < 220_000 else "metavision"


@dataclass(frozen=True)
class ChartPanel:
    """Items charted together: in which stays (`route`), and in which share of the nursing rounds.

    `every_hours` spaces the panel on the clock (1 = every round); `share` is the probability that a round which
    is due is charted; `share_otherwise` the same in stays outside `route` (a cuff beside an arterial line).
    """

    route: Route
    every_hours: int
    items: tuple[ChartItem, ...]
    share: float = 0.97
    share_otherwise: float = 0.0


@dataclass(frozen=True)
class LabItem:
    """One item of LABEVENTS; `share` is the probability that a draw of its kind includes it.

    `low` and `high` bound the values not flagged `abnormal`; `texts` are results without a number.
    """

    item_id: int
    label: str
    signal: str
    kind: LabKind
    uom: str
    loinc_code: str
    low: float
    high: float
    decimals: int
    share: float
    noise_sd: float
    category: str = "Chemistry"
    texts: tuple[str, ...] = field(default=("NotDone", "UNABLE TO REPORT"))


def _vital(item_id: int, label: str, signal: str, uom: str, abbreviation: str, **extra: object) -> ChartItem:
    """A MetaVision routine vital sign, whose D_ITEMS unit is also its VALUEUOM."""
    return ChartItem(
        item_id,
        label,
        signal,
        uom,
        category="Routine Vital Signs",
        abbreviation=abbreviation,
        unit_name=uom,
        param_type="Numeric",
        **extra,  # type: ignore[arg-type]
    )


CAREVUE_PANELS = (
    ChartPanel(
        "all",
        1,
        (
            ChartItem(211, "Heart Rate", "heart_rate", "BPM", noise_sd=2.0, slips=HEART_RATE_SLIPS),
            ChartItem(
                618, "Respiratory Rate", "resp_rate", "BPM", noise_sd=1.8, zero_rate=0.006, slips=RESP_RATE_SLIPS
            ),
            ChartItem(646, "SpO2", "spo2", "%", noise_sd=0.8, slips=SPO2_SLIPS),
            ChartItem(212, "Heart Rhythm", "rhythm", texts=RHYTHM, text_only=True),
        ),
        share=0.99,
    ),
    ChartPanel(
        "arterial",
        1,
        (
            ChartItem(
                51, "Arterial BP [Systolic]", "sysbp", "mmHg", noise_sd=3.0, zero_rate=0.003, slips=SYSBP_SLIPS
            ),
            ChartItem(
                8368, "Arterial BP [Diastolic]", "diasbp", "mmHg", noise_sd=2.0, zero_rate=0.003, slips=DIASBP_SLIPS
            ),
            ChartItem(52, "Arterial BP Mean", "meanbp", "mmHg", noise_sd=2.0),
        ),
    ),
    ChartPanel(
        "cuff",
        1,
        (
            ChartItem(455, "NBP [Systolic]", "sysbp", "mmHg", noise_sd=5.0, bias_sd=5.0, slips=SYSBP_SLIPS),
            ChartItem(8441, "NBP [Diastolic]", "diasbp", "mmHg", noise_sd=4.0, bias_sd=3.0, slips=DIASBP_SLIPS),
            ChartItem(456, "NBP Mean", "meanbp", "mmHg", noise_sd=4.0, bias_sd=3.0),
        ),
        share=0.88,
        share_otherwise=0.2,
    ),
    ChartPanel(
        "manual_cuff",
        6,
        (
            ChartItem(442, "Manual BP [Systolic]", "sysbp", "mmHg", noise_sd=6.0, bias_sd=4.0),
            ChartItem(8440, "Manual BP [Diastolic]", "diasbp", "mmHg", noise_sd=5.0, bias_sd=3.0),
        ),
        share=0.7,
    ),
    ChartPanel(
        "second_line",
        1,
        (
            ChartItem(6701, "Arterial BP #2 [Systolic]", "sysbp", "mmHg", noise_sd=3.0, bias_sd=6.0),
            ChartItem(8555, "Arterial BP #2 [Diastolic]", "diasbp", "mmHg", noise_sd=2.0, bias_sd=4.0),
        ),
        share=0.6,
    ),
    ChartPanel(
        "fahrenheit",
        4,
        (
            ChartItem(
                678,
                "Temperature F",
                "temperature_f",
                "Deg. F",
                decimals=1,
                noise_sd=0.3,
                slips=FAHRENHEIT_SLIPS,
                single_precision=True,
            ),
            ChartItem(677, "Temperature C (calc)", "temperature", "Deg. C", decimals=4, single_precision=True),
        ),
    ),
    ChartPanel(
        "celsius",
        2,
        (
            ChartItem(
                676,
                "Temperature C",
                "temperature",
                "Deg. C",
                decimals=1,
                noise_sd=0.15,
                slips=CELSIUS_SLIPS,
                single_precision=True,
            ),
            ChartItem(679, "Temperature F (calc)", "temperature_f", "Deg. F", decimals=2, single_precision=True),
        ),
    ),
    ChartPanel(
        "all",
        4,
        (
            ChartItem(184, "Eye Opening", "gcs_eye", texts=GCS_EYE),
            ChartItem(723, "Verbal Response", "gcs_verbal", texts=GCS_VERBAL),
            ChartItem(454, "Motor Response", "gcs_motor", texts=GCS_MOTOR),
            ChartItem(198, "GCS Total", "gcs_total", "points"),
        ),
    ),
    ChartPanel(
        "ventilated",
        4,
        (
            ChartItem(615, "Resp Rate (Total)", "resp_rate", "BPM", noise_sd=1.5),
            ChartItem(190, "FiO2 Set", "fio2_fraction", "torr", decimals=2, single_precision=True),
        ),
        share=0.9,
    ),
    ChartPanel(
        "all",
        12,
        (
            ChartItem(
                813,
                "Hematocrit",
                "hematocrit",
                "%",
                "Hematology",
                decimals=1,
                noise_sd=0.5,
                single_precision=True,
                result_status="Final",
            ),
            ChartItem(861, "WBC (4-11,000)", "wbc", category="Hematology", decimals=1, result_status="Final"),
            ChartItem(
                829, "Potassium (3.5-5.3)", "potassium", category="Chemistry", decimals=1, result_status="Final"
            ),
            ChartItem(
                791, "Creatinine (0-1.3)", "creatinine", category="Chemistry", decimals=1, result_status="Final"
            ),
        ),
        share=0.8,
    ),
    ChartPanel(
        "diabetic",
        6,
        (
            ChartItem(
                807, "Fingerstick Glucose", "glucose", category="Chemistry", noise_sd=9.0, result_status="Manual"
            ),
        ),
        share_otherwise=0.1,
    ),
    ChartPanel(
        "all", 24, (ChartItem(763, "Daily Weight", "weight_kg", "kg", decimals=1, noise_sd=0.7),), share=0.6
    ),
)

METAVISION_PANELS = (
    ChartPanel(
        "all",
        1,
        (
            _vital(220045, "Heart Rate", "heart_rate", "bpm", "HR", noise_sd=2.0, slips=HEART_RATE_SLIPS),
            ChartItem(
                220210,
                "Respiratory Rate",
                "resp_rate",
                "insp/min",
                "Respiratory",
                "RR",
                "insp/min",
                "Numeric",
                noise_sd=1.8,
                slips=RESP_RATE_SLIPS,
            ),
            ChartItem(
                220277,
                "O2 saturation pulseoxymetry",
                "spo2",
                "%",
                "Respiratory",
                "SpO2",
                "%",
                "Numeric",
                noise_sd=0.8,
                slips=SPO2_SLIPS,
            ),
            ChartItem(
                220048,
                "Heart Rhythm",
                "rhythm",
                None,
                "Routine Vital Signs",
                "Heart Rhythm",
                None,
                "Text",
                texts=MV_RHYTHM,
                text_only=True,
            ),
        ),
        share=0.99,
    ),
    ChartPanel(
        "arterial",
        1,
        (
            _vital(
                220050,
                "Arterial Blood Pressure systolic",
                "sysbp",
                "mmHg",
                "ABPs",
                noise_sd=3.0,
                slips=SYSBP_SLIPS,
            ),
            _vital(
                220051,
                "Arterial Blood Pressure diastolic",
                "diasbp",
                "mmHg",
                "ABPd",
                noise_sd=2.0,
                slips=DIASBP_SLIPS,
            ),
            _vital(220052, "Arterial Blood Pressure mean", "meanbp", "mmHg", "ABPm", noise_sd=2.0),
        ),
    ),
    ChartPanel(
        "cuff",
        1,
        (
            _vital(
                220179,
                "Non Invasive Blood Pressure systolic",
                "sysbp",
                "mmHg",
                "NBPs",
                noise_sd=5.0,
                bias_sd=5.0,
                slips=SYSBP_SLIPS,
            ),
            _vital(
                220180,
                "Non Invasive Blood Pressure diastolic",
                "diasbp",
                "mmHg",
                "NBPd",
                noise_sd=4.0,
                bias_sd=3.0,
                slips=DIASBP_SLIPS,
            ),
            _vital(
                220181,
                "Non Invasive Blood Pressure mean",
                "meanbp",
                "mmHg",
                "NBPm",
                noise_sd=4.0,
                bias_sd=3.0,
            ),
        ),
        share=0.88,
        share_otherwise=0.2,
    ),
    ChartPanel(
        "fahrenheit",
        4,
        (
            _vital(
                223761,
                "Temperature Fahrenheit",
                "temperature_f",
                "?F",
                "Temperature F",
                decimals=1,
                noise_sd=0.3,
                slips=FAHRENHEIT_SLIPS,
            ),
        ),
    ),
    ChartPanel(
        "celsius",
        2,
        (
            _vital(
                223762,
                "Temperature Celsius",
                "temperature",
                "?C",
                "Temperature C",
                decimals=1,
                noise_sd=0.15,
                slips=CELSIUS_SLIPS,
            ),
        ),
    ),
    ChartPanel(
        "all",
        4,
        (
            ChartItem(
                220739,
                "GCS - Eye Opening",
                "gcs_eye",
                None,
                "Neurological",
                "Eye Opening",
                None,
                "Text",
                texts=MV_GCS_EYE,
            ),
            ChartItem(
                223900,
                "GCS - Verbal Response",
                "gcs_verbal",
                None,
                "Neurological",
                "Verbal Response",
                None,
                "Text",
                texts=MV_GCS_VERBAL,
            ),
            ChartItem(
                223901,
                "GCS - Motor Response",
                "gcs_motor",
                None,
                "Neurological",
                "Motor Response",
                None,
                "Text",
                texts=MV_GCS_MOTOR,
            ),
        ),
    ),
    ChartPanel(
        "ventilated",
        4,
        (
            ChartItem(
                224690,
                "Respiratory Rate (Total)",
                "resp_rate",
                "insp/min",
                "Respiratory",
                "Respiratory Rate (Total)",
                "insp/min",
                "Numeric",
                noise_sd=1.5,
            ),
            ChartItem(
                223835, "Inspired O2 Fraction", "fio2_percent", None, "Respiratory", "FiO2", "None", "Numeric"
            ),
        ),
        share=0.9,
    ),
    ChartPanel(
        "all",
        12,
        (
            ChartItem(
                220545,
                "Hematocrit (serum)",
                "hematocrit",
                "%",
                "Labs",
                "Hematocrit (serum)",
                "None",
                "Numeric",
                decimals=1,
            ),
            ChartItem(220546, "WBC", "wbc", "K/uL", "Labs", "WBC", "None", "Numeric", decimals=1),
            ChartItem(
                227442,
                "Potassium (serum)",
                "potassium",
                "mEq/L",
                "Labs",
                "Potassium (serum)",
                "None",
                "Numeric with tag",
                decimals=1,
            ),
            ChartItem(
                220615, "Creatinine", "creatinine", "mg/dL", "Labs", "Creatinine", "None", "Numeric", decimals=1
            ),
        ),
        share=0.8,
    ),
    ChartPanel(
        "diabetic",
        6,
        (
            ChartItem(
                225664,
                "Glucose finger stick",
                "glucose",
                None,
                "Labs",
                "Glucose FS",
                "None",
                "Numeric",
                noise_sd=9.0,
            ),
        ),
        share_otherwise=0.1,
    ),
    ChartPanel(
        "all",
        24,
        (
            ChartItem(
                224639,
                "Daily Weight",
                "weight_kg",
                "kg",
                "General",
                "Daily Weight",
                "kg",
                "Numeric",
                decimals=1,
                noise_sd=0.7,
            ),
        ),
        share=0.6,
    ),
)

CHART_PANELS = CAREVUE_PANELS + METAVISION_PANELS
CHART_ITEMS = tuple(item for panel in CHART_PANELS for item in panel.items)


def _gas(
    item_id: int,
    label: str,
    signal: str,
    uom: str,
    loinc_code: str,
    low: float,
    high: float,
    decimals: int,
    share: float,
    noise_sd: float,
    texts: tuple[str, ...] = ("NotDone", "UNABLE TO REPORT"),
) -> LabItem:
    """An analyte of the blood-gas machine."""
    return LabItem(
        item_id,
        label,
        signal,
        "blood_gas",
        uom,
        loinc_code,
        low,
        high,
        decimals,
        share,
        noise_sd,
        "Blood Gas",
        texts,
    )


_HEMOLYZED = ("HEMOLYZED", "GREATER THAN 10", "NotDone")

LAB_ITEMS = (
    _gas(50822, "Potassium, Whole Blood", "potassium", "mEq/L", "6298-4", 3.5, 5.3, 1, 0.40, 0.2, _HEMOLYZED),
    _gas(50808, "Free Calcium", "calcium", "mmol/L", "1994-3", 1.12, 1.32, 2, 0.45, 0.02),
    _gas(50820, "pH", "ph", "units", "11558-4", 7.35, 7.45, 2, 1.0, 0.01),
    _gas(50818, "pCO2", "pco2", "mm Hg", "11557-6", 35, 45, 0, 0.96, 1.5),
    _gas(50813, "Lactate", "lactate", "mmol/L", "32693-4", 0.5, 2.0, 1, 0.55, 0.1, ("GREATER THAN 30", "NotDone")),
    _gas(50824, "Sodium, Whole Blood", "sodium", "mEq/L", "2947-0", 133, 145, 0, 0.20, 1.2),
    _gas(50809, "Glucose", "glucose", "mg/dL", "2339-0", 70, 105, 0, 0.30, 8.0),
    _gas(50821, "pO2", "po2", "mm Hg", "11556-8", 85, 105, 0, 0.96, 8.0),
    LabItem(
        50862,
        "Albumin",
        "albumin",
        "chemistry",
        "g/dL",
        "1751-7",
        3.5,
        5.2,
        1,
        0.12,
        0.1,
        texts=("LESS THAN 1.0", "NotDone"),
    ),
    LabItem(51006, "Urea Nitrogen", "bun", "chemistry", "mg/dL", "3094-0", 6, 20, 0, 0.97, 0.8),
    LabItem(
        50912,
        "Creatinine",
        "creatinine",
        "chemistry",
        "mg/dL",
        "2160-0",
        0.4,
        1.2,
        1,
        0.97,
        0.05,
        texts=("LESS THAN 0.4", "NotDone"),
    ),
    LabItem(50983, "Sodium", "sodium", "chemistry", "mEq/L", "2951-2", 133, 145, 0, 0.97, 0.8),
    LabItem(50882, "Bicarbonate", "bicarbonate", "chemistry", "mEq/L", "1963-8", 22, 32, 0, 0.97, 0.8),
    LabItem(
        51265,
        "Platelet Count",
        "platelet",
        "chemistry",
        "K/uL",
        "777-3",
        150,
        440,
        0,
        0.92,
        8.0,
        "Hematology",
        ("<5", "UNABLE TO REPORT"),
    ),
    LabItem(
        50931,
        "Glucose",
        "glucose",
        "chemistry",
        "mg/dL",
        "2345-7",
        70,
        105,
        0,
        0.97,
        6.0,
        texts=("GREATER THAN 500", "NotDone"),
    ),
    LabItem(50960, "Magnesium", "magnesium", "chemistry", "mg/dL", "2601-3", 1.6, 2.6, 1, 0.85, 0.08),
    LabItem(
        50971,
        "Potassium",
        "potassium",
        "chemistry",
        "mEq/L",
        "2823-3",
        3.3,
        5.1,
        1,
        0.97,
        0.12,
        texts=_HEMOLYZED,
    ),
    LabItem(50893, "Calcium, Total", "total_calcium", "chemistry", "mg/dL", "2000-8", 8.4, 10.3, 1, 0.75, 0.15),
    LabItem(
        51221, "Hematocrit", "hematocrit", "chemistry", "%", "4544-3", 36, 48, 1, 0.95, 0.5, "Hematology"
    ),
    LabItem(
        51301, "White Blood Cells", "wbc", "chemistry", "K/uL", "804-5", 4, 11, 1, 0.92, 0.3, "Hematology"
    ),
)


def chart_dictionary() -> pl.DataFrame:
    """D_ITEMS for the items above, ordered by item id, without ROW_ID."""
    items = sorted(CHART_ITEMS, key=lambda item: item.item_id)
    return pl.DataFrame(
        {
            "ITEMID": [item.item_id for item in items],
            "LABEL": [item.label for item in items],
            "ABBREVIATION": [item.abbreviation for item in items],
            "DBSOURCE": [item.system for item in items],
            "LINKSTO": ["chartevents"] * len(items),
            "CATEGORY": [item.category for item in items],
            "UNITNAME": [item.unit_name for item in items],
            "PARAM_TYPE": [item.param_type for item in items],
            "CONCEPTID": [None] * len(items),
        }
    )


def lab_dictionary() -> pl.DataFrame:
    """D_LABITEMS for the items above, ordered by item id, without ROW_ID."""
    items = sorted(LAB_ITEMS, key=lambda item: item.item_id)
    return pl.DataFrame(
        {
            "ITEMID": [item.item_id for item in items],
            "LABEL": [item.label for item in items],
            "FLUID": ["Blood"] * len(items),
            "CATEGORY": [item.category for item in items],
            "LOINC_CODE": [item.loinc_code for item in items],
        }
    )
