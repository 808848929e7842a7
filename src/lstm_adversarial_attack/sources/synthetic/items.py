"""What the synthetic wards chart: item ids, labels, units, and the physiological signal behind each item.

Item ids, labels, units and categories are those of the MIMIC-III dictionaries (`D_ITEMS`, `D_LABITEMS`). A
panel is a group of items that are written down together, so that a systolic pressure and its diastolic share
one charttime. The names in `signal` are the keys of `physiology.Course.signals`.
"""

import math
from dataclasses import dataclass
from typing import Literal

System = Literal["carevue", "metavision"]
Route = Literal[
    "all",
    "arterial",
    "cuff",
    "manual_cuff",
    "second_line",
    "celsius",
    "fahrenheit",
    "ventilated",
    "diabetic",
    "central",
    "grown",
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


@dataclass(frozen=True)
class Reading:
    """How a signal reaches the chart.

    `decimals` is the recording precision; `noise_sd` (per reading) and `bias_sd` (per stay and item) are in
    the item's own unit; `zero_rate` is the share of zeros; `slips` are impossible entries seen at a low rate.
    With `texts` the signal is a code from 1 and VALUE is its text; VALUENUM is then the code, or NULL if
    `text_only`.
    """

    signal: str
    decimals: int = 0
    noise_sd: float = 0.0
    bias_sd: float = 0.0
    zero_rate: float = 0.0
    slips: tuple[float, ...] = ()
    texts: tuple[str, ...] = ()
    text_only: bool = False


SYSBP_SLIPS = (11647.0, 1201.0, 999.0, 0.0)
DIASBP_SLIPS = (635.0, 999.0, 0.0)

HEART_RATE = Reading("heart_rate", noise_sd=2.0, slips=(0.0, 880.0, 999.0))
RESP_RATE = Reading("resp_rate", noise_sd=1.8, zero_rate=0.005, slips=(235.0, 1800.0, 99.0))
RESP_RATE_TOTAL = Reading("resp_rate", noise_sd=1.5)
SPO2 = Reading("spo2", noise_sd=0.8, slips=(103.0, 979.0, 110.0, 0.0))
LINE_SYSBP = Reading("sysbp", noise_sd=3.0, zero_rate=0.003, slips=SYSBP_SLIPS)
LINE_DIASBP = Reading("diasbp", noise_sd=2.0, zero_rate=0.003, slips=DIASBP_SLIPS)
LINE_MEANBP = Reading("meanbp", noise_sd=2.0)
SECOND_SYSBP = Reading("sysbp", noise_sd=3.0, bias_sd=6.0)
SECOND_DIASBP = Reading("diasbp", noise_sd=2.0, bias_sd=4.0)
CUFF_SYSBP = Reading("sysbp", noise_sd=5.0, bias_sd=5.0, slips=SYSBP_SLIPS)
CUFF_DIASBP = Reading("diasbp", noise_sd=4.0, bias_sd=3.0, slips=DIASBP_SLIPS)
CUFF_MEANBP = Reading("meanbp", noise_sd=4.0, bias_sd=3.0)
MANUAL_SYSBP = Reading("sysbp", noise_sd=6.0, bias_sd=4.0)
MANUAL_DIASBP = Reading("diasbp", noise_sd=5.0, bias_sd=3.0)
FAHRENHEIT = Reading("temperature_f", decimals=1, noise_sd=0.3, slips=(986.0, 9.9, 37.1, 0.0))
FAHRENHEIT_CALCULATED = Reading("temperature_f", decimals=2)
CELSIUS = Reading("temperature", decimals=1, noise_sd=0.15, slips=(98.6, 371.0, 3.7))
CELSIUS_CALCULATED = Reading("temperature", decimals=4)
FINGERSTICK = Reading("glucose", noise_sd=9.0)
HEMATOCRIT = Reading("hematocrit", decimals=1, noise_sd=0.5)
WBC = Reading("wbc", decimals=1)
POTASSIUM = Reading("potassium", decimals=1)
CREATININE = Reading("creatinine", decimals=1)
WEIGHT = Reading("weight_kg", decimals=1, noise_sd=0.7)


@dataclass(frozen=True)
class ChartItem:
    """One item of CHARTEVENTS and its row in D_ITEMS.

    `uom` is the text in VALUEUOM (`unit_name` that in D_ITEMS.UNITNAME). `single_precision` items carry the
    float32 digits that CareVue left in the release (98.5999984741211).
    """

    item_id: int
    label: str
    reading: Reading
    uom: str | None = None
    category: str | None = None
    single_precision: bool = False
    result_status: str | None = None
    abbreviation: str | None = None
    unit_name: str | None = None
    param_type: str | None = None

    @property
    def system(self) -> System:
        """The charting system: ids below 220000 are CareVue."""
        return "carevue" if self.item_id < 220_000 else "metavision"


@dataclass(frozen=True)
class ChartPanel:
    """Items charted together: in which stays (`route`), and in which share of the nursing rounds.

    `every_hours` spaces the panel on the clock (1 = every round, 0 = the first of a stay); `share` is the probability
    that a round which is due is charted; `share_otherwise` the same in stays outside `route` (a cuff beside an
    arterial line).
    """

    route: Route
    every_hours: int
    items: tuple[ChartItem, ...]
    share: float = 0.97
    share_otherwise: float = 0.0


@dataclass(frozen=True)
class NoteItem:
    """One item of CHARTEVENTS that no feature set reads: a choice among `texts`, the usual one first.

    VALUENUM is the number that the text is (`numeric`), or NULL.
    """

    item_id: int
    label: str
    texts: tuple[str, ...]
    numeric: bool = False
    uom: str | None = None
    category: str | None = None
    abbreviation: str | None = None
    unit_name: str | None = None
    param_type: str | None = None
    result_status: str | None = None

    @property
    def system(self) -> System:
        """The charting system: ids below 220000 are CareVue."""
        return "carevue" if self.item_id < 220_000 else "metavision"


@dataclass(frozen=True)
class NotePanel:
    """Notes of one charting system written down together, every so many hours on the clock (1 = every round)."""

    every_hours: int
    share: float
    items: tuple[NoteItem, ...]


@dataclass(frozen=True)
class LabItem:
    """One item of LABEVENTS; `share` is the probability that a draw of its `kind` (or its panel) includes it.

    Values outside `normal` (lowest, highest) are flagged `abnormal`; `texts` are results without a number. Less
    than `detected_from` is reported as a text ("<0.01"), and only `signed` results are 0 or below.
    """

    item_id: int
    label: str
    signal: str
    uom: str
    loinc_code: str
    normal: tuple[float, float]
    decimals: int
    share: float
    noise_sd: float
    texts: tuple[str, ...] = ("NotDone", "UNABLE TO REPORT")
    category: str = "Chemistry"
    kind: LabKind = "chemistry"
    detected_from: float = -math.inf
    signed: bool = False


@dataclass(frozen=True)
class LabPanel:
    """Laboratory items ordered together.

    `stay_share` is the part of stays in which they are ordered at all, `share` the probability that a draw of
    `kind` in such a stay includes the panel.
    """

    share: float
    items: tuple[LabItem, ...]
    stay_share: float = 1.0
    kind: LabKind = "chemistry"


def _cv_precise(item_id: int, label: str, reading: Reading, uom: str) -> ChartItem:
    """A CareVue item with decimals, stored in single precision."""
    return ChartItem(item_id, label, reading, uom, single_precision=True)


def _cv_lab(
    item_id: int, label: str, reading: Reading, category: str = "Chemistry", status: str = "Final"
) -> ChartItem:
    """A laboratory value copied to the CareVue chart, without a unit."""
    return ChartItem(item_id, label, reading, None, category, result_status=status)


def _mv_number(
    item_id: int,
    label: str,
    reading: Reading,
    uom: str,
    abbreviation: str,
    category: str = "Routine Vital Signs",
) -> ChartItem:
    """A MetaVision number whose unit in D_ITEMS is also its VALUEUOM."""
    return ChartItem(
        item_id,
        label,
        reading,
        uom,
        category,
        abbreviation=abbreviation,
        unit_name=uom,
        param_type="Numeric",
    )


def _mv_unitless(
    item_id: int,
    label: str,
    reading: Reading,
    uom: str | None,
    abbreviation: str,
    category: str = "Labs",
    kind: str = "Numeric",
) -> ChartItem:
    """A MetaVision number whose unit in D_ITEMS is the text `None`, whatever its VALUEUOM."""
    return ChartItem(
        item_id,
        label,
        reading,
        uom,
        category,
        abbreviation=abbreviation,
        unit_name="None",
        param_type=kind,
    )


def _mv_text(item_id: int, label: str, reading: Reading, abbreviation: str, category: str) -> ChartItem:
    """A MetaVision choice among texts."""
    return ChartItem(item_id, label, reading, category=category, abbreviation=abbreviation, param_type="Text")


_CV_MONITOR = (
    ChartItem(211, "Heart Rate", HEART_RATE, "BPM"),
    ChartItem(618, "Respiratory Rate", RESP_RATE, "BPM"),
    ChartItem(646, "SpO2", SPO2, "%"),
    ChartItem(212, "Heart Rhythm", Reading("rhythm", texts=RHYTHM, text_only=True)),
)
_CV_LINE = (
    ChartItem(51, "Arterial BP [Systolic]", LINE_SYSBP, "mmHg"),
    ChartItem(8368, "Arterial BP [Diastolic]", LINE_DIASBP, "mmHg"),
    ChartItem(52, "Arterial BP Mean", LINE_MEANBP, "mmHg"),
)
_CV_CUFF = (
    ChartItem(455, "NBP [Systolic]", CUFF_SYSBP, "mmHg"),
    ChartItem(8441, "NBP [Diastolic]", CUFF_DIASBP, "mmHg"),
    ChartItem(456, "NBP Mean", CUFF_MEANBP, "mmHg"),
)
_CV_MANUAL_CUFF = (
    ChartItem(442, "Manual BP [Systolic]", MANUAL_SYSBP, "mmHg"),
    ChartItem(8440, "Manual BP [Diastolic]", MANUAL_DIASBP, "mmHg"),
)
_CV_SECOND_LINE = (
    ChartItem(6701, "Arterial BP #2 [Systolic]", SECOND_SYSBP, "mmHg"),
    ChartItem(8555, "Arterial BP #2 [Diastolic]", SECOND_DIASBP, "mmHg"),
)
_CV_FAHRENHEIT = (
    _cv_precise(678, "Temperature F", FAHRENHEIT, "Deg. F"),
    _cv_precise(677, "Temperature C (calc)", CELSIUS_CALCULATED, "Deg. C"),
)
_CV_CELSIUS = (
    _cv_precise(676, "Temperature C", CELSIUS, "Deg. C"),
    _cv_precise(679, "Temperature F (calc)", FAHRENHEIT_CALCULATED, "Deg. F"),
)
_CV_COMA_SCALE = (
    ChartItem(184, "Eye Opening", Reading("gcs_eye", texts=GCS_EYE)),
    ChartItem(723, "Verbal Response", Reading("gcs_verbal", texts=GCS_VERBAL)),
    ChartItem(454, "Motor Response", Reading("gcs_motor", texts=GCS_MOTOR)),
    ChartItem(198, "GCS Total", Reading("gcs_total"), "points"),
)
_CV_VENTILATOR = (
    ChartItem(615, "Resp Rate (Total)", RESP_RATE_TOTAL, "BPM"),
    _cv_precise(190, "FiO2 Set", Reading("fio2_fraction", decimals=2), "torr"),
)
_CV_LABS = (
    ChartItem(813, "Hematocrit", HEMATOCRIT, "%", "Hematology", True, "Final"),
    _cv_lab(861, "WBC (4-11,000)", WBC, "Hematology"),
    _cv_lab(829, "Potassium (3.5-5.3)", POTASSIUM),
    _cv_lab(791, "Creatinine (0-1.3)", CREATININE),
)

CAREVUE_PANELS = (
    ChartPanel("all", 1, _CV_MONITOR, share=0.99),
    ChartPanel("arterial", 1, _CV_LINE),
    ChartPanel("cuff", 1, _CV_CUFF, share=0.88, share_otherwise=0.2),
    ChartPanel("manual_cuff", 6, _CV_MANUAL_CUFF, share=0.7),
    ChartPanel("second_line", 1, _CV_SECOND_LINE, share=0.6),
    ChartPanel("fahrenheit", 4, _CV_FAHRENHEIT),
    ChartPanel("celsius", 2, _CV_CELSIUS),
    ChartPanel("all", 4, _CV_COMA_SCALE),
    ChartPanel("ventilated", 4, _CV_VENTILATOR, share=0.9),
    ChartPanel("all", 12, _CV_LABS, share=0.8),
    ChartPanel(
        "diabetic",
        6,
        (_cv_lab(807, "Fingerstick Glucose", FINGERSTICK, status="Manual"),),
        share_otherwise=0.1,
    ),
    ChartPanel("all", 24, (ChartItem(763, "Daily Weight", WEIGHT, "kg"),), share=0.6),
)

_MV_MONITOR = (
    _mv_number(220045, "Heart Rate", HEART_RATE, "bpm", "HR"),
    _mv_number(220210, "Respiratory Rate", RESP_RATE, "insp/min", "RR", "Respiratory"),
    _mv_number(220277, "O2 saturation pulseoxymetry", SPO2, "%", "SpO2", "Respiratory"),
    _mv_text(
        220048,
        "Heart Rhythm",
        Reading("rhythm", texts=MV_RHYTHM, text_only=True),
        "Heart Rhythm",
        "Routine Vital Signs",
    ),
)
_MV_LINE = (
    _mv_number(220050, "Arterial Blood Pressure systolic", LINE_SYSBP, "mmHg", "ABPs"),
    _mv_number(220051, "Arterial Blood Pressure diastolic", LINE_DIASBP, "mmHg", "ABPd"),
    _mv_number(220052, "Arterial Blood Pressure mean", LINE_MEANBP, "mmHg", "ABPm"),
)
_MV_CUFF = (
    _mv_number(220179, "Non Invasive Blood Pressure systolic", CUFF_SYSBP, "mmHg", "NBPs"),
    _mv_number(220180, "Non Invasive Blood Pressure diastolic", CUFF_DIASBP, "mmHg", "NBPd"),
    _mv_number(220181, "Non Invasive Blood Pressure mean", CUFF_MEANBP, "mmHg", "NBPm"),
)
_MV_COMA_SCALE = (
    _mv_text(220739, "GCS - Eye Opening", Reading("gcs_eye", texts=MV_GCS_EYE), "Eye Opening", "Neurological"),
    _mv_text(
        223900,
        "GCS - Verbal Response",
        Reading("gcs_verbal", texts=MV_GCS_VERBAL),
        "Verbal Response",
        "Neurological",
    ),
    _mv_text(
        223901,
        "GCS - Motor Response",
        Reading("gcs_motor", texts=MV_GCS_MOTOR),
        "Motor Response",
        "Neurological",
    ),
)
_MV_VENTILATOR = (
    _mv_number(
        224690,
        "Respiratory Rate (Total)",
        RESP_RATE_TOTAL,
        "insp/min",
        "Respiratory Rate (Total)",
        "Respiratory",
    ),
    _mv_unitless(223835, "Inspired O2 Fraction", Reading("fio2_percent"), None, "FiO2", "Respiratory"),
)
_MV_LABS = (
    _mv_unitless(220545, "Hematocrit (serum)", HEMATOCRIT, "%", "Hematocrit (serum)"),
    _mv_unitless(220546, "WBC", WBC, "K/uL", "WBC"),
    _mv_unitless(227442, "Potassium (serum)", POTASSIUM, "mEq/L", "Potassium (serum)", kind="Numeric with tag"),
    _mv_unitless(220615, "Creatinine", CREATININE, "mg/dL", "Creatinine"),
)
_MV_FAHRENHEIT = (_mv_number(223761, "Temperature Fahrenheit", FAHRENHEIT, "?F", "Temperature F"),)
_MV_CELSIUS = (_mv_number(223762, "Temperature Celsius", CELSIUS, "?C", "Temperature C"),)
_MV_FINGERSTICK = (_mv_unitless(225664, "Glucose finger stick", FINGERSTICK, None, "Glucose finger stick"),)
_MV_WEIGHT = (_mv_number(224639, "Daily Weight", WEIGHT, "kg", "Daily Weight", "General"),)

METAVISION_PANELS = (
    ChartPanel("all", 1, _MV_MONITOR, share=0.99),
    ChartPanel("arterial", 1, _MV_LINE),
    ChartPanel("cuff", 1, _MV_CUFF, share=0.88, share_otherwise=0.2),
    ChartPanel("fahrenheit", 4, _MV_FAHRENHEIT),
    ChartPanel("celsius", 2, _MV_CELSIUS),
    ChartPanel("all", 4, _MV_COMA_SCALE),
    ChartPanel("ventilated", 4, _MV_VENTILATOR, share=0.9),
    ChartPanel("all", 12, _MV_LABS, share=0.8),
    ChartPanel("diabetic", 6, _MV_FINGERSTICK, share_otherwise=0.1),
    ChartPanel("all", 24, _MV_WEIGHT, share=0.6),
)

CHART_PANELS = CAREVUE_PANELS + METAVISION_PANELS
CHART_ITEMS = tuple(item for panel in CHART_PANELS for item in panel.items)


_NO_NUMBER = ("NotDone", "UNABLE TO REPORT")
_HEMOLYZED = ("HEMOLYZED", "GREATER THAN 10", "NotDone")
_HEMATOLOGY = "Hematology"


def _gas(
    item_id: int,
    label: str,
    signal: str,
    uom: str,
    loinc_code: str,
    normal: tuple[float, float],
    decimals: int,
    share: float,
    noise_sd: float,
    texts: tuple[str, ...] = _NO_NUMBER,
) -> LabItem:
    """An analyte of the blood-gas machine."""
    return LabItem(
        item_id,
        label,
        signal,
        uom,
        loinc_code,
        normal,
        decimals,
        share,
        noise_sd,
        texts,
        "Blood Gas",
        "blood_gas",
    )


LAB_ITEMS = (
    _gas(50822, "Potassium, Whole Blood", "potassium", "mEq/L", "6298-4", (3.5, 5.3), 1, 0.4, 0.2, _HEMOLYZED),
    _gas(50808, "Free Calcium", "calcium", "mmol/L", "1994-3", (1.12, 1.32), 2, 0.45, 0.02),
    _gas(50820, "pH", "ph", "units", "11558-4", (7.35, 7.45), 2, 1.0, 0.01),
    _gas(50818, "pCO2", "pco2", "mm Hg", "11557-6", (35, 45), 0, 0.96, 1.5),
    _gas(50813, "Lactate", "lactate", "mmol/L", "32693-4", (0.5, 2.0), 1, 0.55, 0.1, ("GREATER THAN 30",)),
    _gas(50824, "Sodium, Whole Blood", "sodium", "mEq/L", "2947-0", (133, 145), 0, 0.2, 1.2),
    _gas(50809, "Glucose", "glucose", "mg/dL", "2339-0", (70, 105), 0, 0.3, 8.0),
    _gas(50821, "pO2", "po2", "mm Hg", "11556-8", (85, 105), 0, 0.96, 8.0),
    LabItem(50862, "Albumin", "albumin", "g/dL", "1751-7", (3.5, 5.2), 1, 0.12, 0.1, ("LESS THAN 1.0",)),
    LabItem(51006, "Urea Nitrogen", "bun", "mg/dL", "3094-0", (6, 20), 0, 0.97, 0.8),
    LabItem(50912, "Creatinine", "creatinine", "mg/dL", "2160-0", (0.4, 1.2), 1, 0.97, 0.05),
    LabItem(50983, "Sodium", "sodium", "mEq/L", "2951-2", (133, 145), 0, 0.97, 0.8),
    LabItem(50882, "Bicarbonate", "bicarbonate", "mEq/L", "1963-8", (22, 32), 0, 0.97, 0.8),
    LabItem(51265, "Platelet Count", "platelet", "K/uL", "777-3", (150, 440), 0, 0.92, 8.0, ("<5",), _HEMATOLOGY),
    LabItem(50931, "Glucose", "glucose", "mg/dL", "2345-7", (70, 105), 0, 0.97, 6.0, ("GREATER THAN 500",)),
    LabItem(50960, "Magnesium", "magnesium", "mg/dL", "2601-3", (1.6, 2.6), 1, 0.85, 0.08),
    LabItem(50971, "Potassium", "potassium", "mEq/L", "2823-3", (3.3, 5.1), 1, 0.97, 0.12, _HEMOLYZED),
    LabItem(50893, "Calcium, Total", "total_calcium", "mg/dL", "2000-8", (8.4, 10.3), 1, 0.75, 0.15),
    LabItem(51221, "Hematocrit", "hematocrit", "%", "4544-3", (36, 48), 1, 0.95, 0.5, category=_HEMATOLOGY),
    LabItem(51301, "White Blood Cells", "wbc", "K/uL", "804-5", (4, 11), 1, 0.92, 0.3, category=_HEMATOLOGY),
)
