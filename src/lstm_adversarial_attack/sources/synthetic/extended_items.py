"""What the synthetic wards record beyond `items`: the measurements of feature set icu-extended, and what nobody reads.

Item ids, labels, units and categories are those of the MIMIC-III dictionaries. What stands here is drawn from
random streams of its own, so that it leaves the values of `items` as they are.
"""

from .items import (
    CHART_ITEMS,
    LAB_ITEMS,
    WEIGHT,
    ChartItem,
    ChartPanel,
    LabItem,
    LabPanel,
    NoteItem,
    NotePanel,
    Reading,
)

CVP = Reading("cvp", noise_sd=1.0, slips=(312.0, 187.0, 76.0))
PEEP = Reading("peep")
TIDAL_VOLUME = Reading("tidal_volume", noise_sd=30.0)
SECOND_MEANBP = Reading("meanbp", noise_sd=2.0, bias_sd=4.0)
MANUAL_MEANBP = Reading("meanbp", decimals=4, noise_sd=5.0, bias_sd=3.0)
HEIGHT_CM = Reading("height_cm")
HEIGHT_INCHES = Reading("height_inches", slips=(170.0, 5.0))
WEIGHT_POUNDS = Reading("weight_pounds", decimals=1, noise_sd=1.5)


def _mv(
    item_id: int, label: str, reading: Reading, uom: str | None, abbreviation: str, category: str, unit: str
) -> ChartItem:
    """A MetaVision number."""
    return ChartItem(
        item_id,
        label,
        reading,
        uom,
        category,
        abbreviation=abbreviation,
        unit_name=unit,
        param_type="Numeric",
    )


_CV_ADMISSION = (
    ChartItem(762, "Admit Wt", WEIGHT, "kg", single_precision=True),
    ChartItem(920, "Admit Ht", HEIGHT_INCHES, "inches"),
)
_CV_SETTINGS = (
    ChartItem(506, "PEEP Set", PEEP, "cmH2O"),
    ChartItem(682, "Tidal Volume (Obser)", TIDAL_VOLUME, "ml/B"),
)
_CV_OXYGEN = (
    ChartItem(3420, "FIO2", Reading("fio2_percent"), "%"),
    ChartItem(3422, "FIO2 [Meas]", Reading("fio2_percent"), "%"),
)
_MV_ADMISSION = (
    _mv(226512, "Admission Weight (Kg)", WEIGHT, "kg", "Admission Weight (Kg)", "General", "kg"),
    _mv(226531, "Admission Weight (lbs.)", WEIGHT_POUNDS, None, "Admission Weight (lbs.)", "General", "None"),
)
_MV_HEIGHT = (
    _mv(226707, "Height", HEIGHT_INCHES, "Inch", "Height", "General", "Inch"),
    _mv(226730, "Height (cm)", HEIGHT_CM, "cm", "Height (cm)", "General", "cm"),
)
_MV_SETTINGS = (
    _mv(220339, "PEEP set", PEEP, "cmH2O", "PEEP set", "Respiratory", "cmH2O"),
    _mv(224685, "Tidal Volume (observed)", TIDAL_VOLUME, "mL", "Tidal Volume (observed)", "Respiratory", "mL"),
)
_MV_CVP = (_mv(220074, "Central Venous Pressure", CVP, "mmHg", "CVP", "Hemodynamics", "mmHg"),)
_MV_SECOND_LINE = (_mv(225312, "ART BP mean", SECOND_MEANBP, "mmHg", "ART BP mean", "Routine Vital Signs", "mmHg"),)

EXTENDED_PANELS = (
    ChartPanel("grown", 0, _CV_ADMISSION, share=0.85),
    ChartPanel("grown", 0, (ChartItem(1394, "Height Inches", HEIGHT_INCHES),), share=0.05),
    ChartPanel("ventilated", 4, _CV_SETTINGS, share=0.9),
    ChartPanel("ventilated", 12, _CV_OXYGEN, share=0.05),
    ChartPanel("central", 1, (ChartItem(113, "CVP", CVP, "mmHg"),), share=0.9),
    ChartPanel(
        "manual_cuff",
        6,
        (ChartItem(443, "Manual BP Mean(calc)", MANUAL_MEANBP, "mmHg", single_precision=True),),
        share=0.3,
    ),
    ChartPanel("second_line", 1, (ChartItem(6702, "Arterial BP Mean #2", SECOND_MEANBP, "mmHg"),), share=0.6),
    ChartPanel("grown", 0, _MV_ADMISSION, share=0.9),
    ChartPanel("grown", 0, _MV_HEIGHT, share=0.6),
    ChartPanel("ventilated", 4, _MV_SETTINGS, share=0.9),
    ChartPanel("central", 1, _MV_CVP, share=0.9),
    ChartPanel("second_line", 1, _MV_SECOND_LINE, share=0.6),
)
EXTENDED_CHART_ITEMS = tuple(item for panel in EXTENDED_PANELS for item in panel.items)


def _limit(item_id: int, label: str, uom: str, usual: int, *others: int) -> NoteItem:
    """An alarm limit of the CareVue monitor."""
    return NoteItem(item_id, label, tuple(map(str, (usual, *others))), numeric=True, uom=uom)


def _mv_limit(item_id: int, label: str, abbreviation: str, uom: str, usual: int, *others: int) -> NoteItem:
    """An alarm limit of the MetaVision monitor."""
    texts = tuple(map(str, (usual, *others)))
    return NoteItem(item_id, label, texts, True, uom, "Alarms", abbreviation, uom, "Numeric")


def _mv_note(item_id: int, label: str, category: str, *texts: str) -> NoteItem:
    """A MetaVision choice among texts, abbreviated as it is labelled."""
    return NoteItem(item_id, label, texts, category=category, abbreviation=label, param_type="Text")


_LUNGS = ("Clear", "Diminished", "Crackles", "Rhonchi", "Insp Wheeze", "Ins/Exp Wheeze")

NOTE_PANELS = (
    NotePanel(1, 0.97, (NoteItem(161, "Ectopy Type", ("None", "PVC's", "PAC's", "Fusion Beats", "V Quadrigeminy")),)),
    NotePanel(
        4,
        0.95,
        (
            NoteItem(742, "calprevflg", ("1",), numeric=True, uom="kg"),
            NoteItem(128, "Code Status", ("Full Code", "Do Not Resuscita", "Do Not Intubate", "Comfort Measures")),
            NoteItem(550, "Precautions", ("Universal", "Contact", "Droplet", "Airborne/Resp")),
            NoteItem(674, "Temp. Site", ("Oral", "Axillary", "Rectal", "Blood")),
        ),
    ),
    NotePanel(
        8,
        0.95,
        (
            NoteItem(432, "Level of Conscious", ("Alert", "Arouse to Voice", "Lethargic", "Confused", "Other/Remarks")),
            NoteItem(617, "Respiratory Pattern", ("Regular", "Tachypneic", "Irregular", "Other/Remarks")),
            NoteItem(479, "Orientation", ("Oriented x 3", "Oriented x 2", "Disoriented", "Unable to Assess")),
            NoteItem(31, "Activity", ("Bedrest", "Chair", "Bed as Chair", "Commode", "Other/Remarks")),
            NoteItem(599, "RUL Lung Sounds", _LUNGS),
            NoteItem(428, "LUL Lung Sounds", _LUNGS),
        ),
    ),
    NotePanel(
        12,
        0.8,
        (
            _limit(5815, "HR Alarm [Low]", "BPM", 50, 55, 60, 45, 40),
            _limit(8549, "HR Alarm [High]", "BPM", 120, 110, 130, 100, 140),
            _limit(5820, "SpO2 Alarm [Low]", "%", 90, 92, 88),
            _limit(8554, "SpO2 Alarm [High]", "%", 100, 98),
            _limit(5819, "Resp Alarm [Low]", "BPM", 8, 10, 6, 5),
            _limit(8553, "Resp Alarm [High]", "BPM", 30, 35, 40, 25),
            _limit(5817, "NBP Alarm [Low]", "mmHg", 90, 85, 80, 95),
            _limit(8551, "NBP Alarm [High]", "mmHg", 160, 150, 170, 180),
            NoteItem(1622, "Alarms", ("ON", "OFF", "Other/Remarks")),
        ),
    ),
    NotePanel(
        1,
        0.97,
        (_mv_note(224650, "Ectopy Type 1", "Routine Vital Signs", "None", "PVC's", "PAC's", "Vent. Bigeminy"),),
    ),
    NotePanel(
        4,
        0.95,
        (
            _mv_note(224080, "Head of Bed", "Treatments", "30 Degrees", "45 Degrees", "15 Degrees", "Flat in Bed"),
            _mv_note(224084, "Activity", "Treatments", "Bedrest", "Chair", "Bed as Chair", "Dangle", "Ambulate"),
            _mv_note(224082, "Turn", "Treatments", "Side to Side", "Back", "Left Side", "Right Side", "Turns by Self"),
            _mv_note(224093, "Position", "Treatments", "Supine", "Left Side", "Right Side", "Prone"),
        ),
    ),
    NotePanel(
        8,
        0.95,
        (
            _mv_note(223986, "RUL Lung Sounds", "Pulmonary", *_LUNGS),
            _mv_note(223988, "LUL Lung Sounds", "Pulmonary", *_LUNGS),
            _mv_note(224642, "Temperature Site", "Routine Vital Signs", "Oral", "Axillary", "Rectal", "Blood"),
            _mv_note(226732, "O2 Delivery Device(s)", "Respiratory", "None", "Nasal cannula", "Endotracheal tube"),
            _mv_note(223902, "Speech", "Neurological", "Normal", "Intubated/trached", "Slurred", "Garbled"),
            _mv_note(224086, "Activity Tolerance", "Treatments", "Tolerated Well", "Good", "Fair", "Poor"),
        ),
    ),
    NotePanel(
        12,
        0.8,
        (
            _mv_limit(220047, "Heart Rate Alarm - Low", "HR Alarm - Low", "bpm", 50, 55, 60, 45),
            _mv_limit(220046, "Heart rate Alarm - High", "HR Alarm - High", "bpm", 120, 130, 140, 110),
            _mv_limit(223770, "O2 Saturation Pulseoxymetry Alarm - Low", "SpO2 Alarm - Low", "%", 90, 88, 85),
            _mv_limit(223769, "O2 Saturation Pulseoxymetry Alarm - High", "SpO2 Alarm - High", "%", 100, 110),
            _mv_limit(224162, "Resp Alarm - Low", "Resp Alarm - Low", "insp/min", 8, 6, 5),
            _mv_limit(224161, "Resp Alarm - High", "Resp Alarm - High", "insp/min", 30, 35, 40),
            _mv_limit(223752, "Non-Invasive Blood Pressure Alarm - Low", "NBP Alarm - Low", "mmHg", 90, 85, 80),
            _mv_limit(223751, "Non-Invasive Blood Pressure Alarm - High", "NBP Alarm - High", "mmHg", 160, 170, 180),
            NoteItem(224641, "Alarms On", ("1", "0"), True, None, "Alarms", "Alarms On", None, "Checkbox"),
        ),
    ),
)
NOTE_ITEMS = tuple(item for panel in NOTE_PANELS for item in panel.items)

_HEMATOLOGY = "Hematology"
_GAS = "Blood Gas"


def _blood(
    item_id: int,
    label: str,
    signal: str,
    uom: str,
    loinc_code: str,
    normal: tuple[float, float],
    decimals: int,
    noise_sd: float,
    share: float = 0.99,
    category: str = _HEMATOLOGY,
) -> LabItem:
    """An item that its panel includes nearly always."""
    return LabItem(item_id, label, signal, uom, loinc_code, normal, decimals, share, noise_sd, category=category)


_RED_CELLS = (
    _blood(51222, "Hemoglobin", "hemoglobin", "g/dL", "718-7", (12.0, 16.0), 1, 0.15),
    _blood(51277, "RDW", "rdw", "%", "788-0", (10.5, 15.5), 1, 0.1),
    _blood(51250, "MCV", "mcv", "fL", "787-2", (82.0, 98.0), 0, 0.6),
    _blood(51248, "MCH", "mch", "pg", "785-6", (27.0, 32.0), 1, 0.2),
    _blood(51249, "MCHC", "mchc", "%", "786-4", (31.0, 35.0), 1, 0.2),
    _blood(51279, "Red Blood Cells", "red_cells", "m/uL", "789-8", (4.2, 5.4), 2, 0.05),
)
_SALTS = (
    _blood(50902, "Chloride", "chloride", "mEq/L", "2075-0", (96.0, 108.0), 0, 0.8, category="Chemistry"),
    _blood(50868, "Anion Gap", "anion_gap", "mEq/L", "1863-0", (8.0, 20.0), 0, 0.8, category="Chemistry"),
)
_PHOSPHATE = (_blood(50970, "Phosphate", "phosphate", "mg/dL", "2777-1", (2.7, 4.5), 1, 0.1, category="Chemistry"),)
_CLOTTING = (
    _blood(51237, "INR(PT)", "inr", "", "5895-7", (0.9, 1.1), 1, 0.03),
    _blood(51274, "PT", "pt", "sec", "5902-2", (9.4, 12.5), 1, 0.2),
    _blood(51275, "PTT", "ptt", "sec", "3173-2", (25.0, 36.5), 1, 0.8),
)
_LIVER = (
    _blood(50885, "Bilirubin, Total", "bilirubin", "mg/dL", "1975-2", (0.0, 1.5), 1, 0.05, category="Chemistry"),
    _blood(50861, "Alanine Aminotransferase (ALT)", "alt", "IU/L", "1742-6", (0, 40), 0, 1.5, category="Chemistry"),
    _blood(50878, "Asparate Aminotransferase (AST)", "ast", "IU/L", "1920-8", (0, 40), 0, 1.5, category="Chemistry"),
    _blood(50863, "Alkaline Phosphatase", "alp", "IU/L", "6768-6", (35.0, 105.0), 0, 2.0, category="Chemistry"),
    _blood(
        50954, "Lactate Dehydrogenase (LD)", "ldh", "IU/L", "2532-0", (94.0, 250.0), 0, 6.0, 0.6, category="Chemistry"
    ),
)
_HEART = (
    _blood(50910, "Creatine Kinase (CK)", "ck", "IU/L", "2157-6", (47.0, 322.0), 0, 3.0, category="Chemistry"),
    LabItem(
        51003,
        "Troponin T",
        "troponin_t",
        "ng/mL",
        "6598-7",
        (0.0, 0.01),
        2,
        0.8,
        0.005,
        ("NotDone",),
        detected_from=0.01,
    ),
    LabItem(
        51002,
        "Troponin I",
        "troponin_i",
        "ng/ml",
        "10839-9",
        (0.0, 0.4),
        1,
        0.12,
        0.05,
        ("NotDone",),
        detected_from=0.3,
    ),
)
_FIBRINOGEN = (_blood(51214, "Fibrinogen, Functional", "fibrinogen", "mg/dL", "3255-7", (150.0, 400.0), 0, 8.0),)
_CHOLESTEROL = (
    _blood(50907, "Cholesterol, Total", "cholesterol", "mg/dL", "2093-3", (0.0, 199.0), 0, 3.0, category="Chemistry"),
)
_WBC_COUNT = (_blood(51300, "WBC Count", "wbc", "K/uL", "26464-8", (4.0, 11.0), 1, 0.3),)
_GAS_MORE = (
    LabItem(
        50802, "Base Excess", "base_excess", "mEq/L", "11555-0", (-3.0, 3.0), 0, 0.99, 0.6, category=_GAS, signed=True
    ),
    _blood(50804, "Calculated Total CO2", "total_co2", "mEq/L", "34728-6", (21.0, 30.0), 0, 0.6, category=_GAS),
)
_GAS_BLOOD = (
    _blood(50811, "Hemoglobin", "hemoglobin", "g/dL", "718-7", (12.0, 18.0), 1, 0.3, category=_GAS),
    _blood(50810, "Hematocrit, Calculated", "hematocrit", "%", "20570-8", (36.0, 48.0), 0, 0.9, category=_GAS),
)
_GAS_SALT = (
    _blood(50806, "Chloride, Whole Blood", "chloride", "mEq/L", "2069-3", (100.0, 108.0), 0, 1.0, category=_GAS),
)
_GAS_OXYGEN = (_blood(50816, "Oxygen", "fio2_percent", "%", "19994-3", (0.0, 100.0), 0, 0.0, category=_GAS),)

EXTENDED_LAB_PANELS = (
    LabPanel(0.93, _RED_CELLS),
    LabPanel(0.97, _SALTS),
    LabPanel(0.78, _PHOSPHATE),
    LabPanel(0.6, _CLOTTING),
    LabPanel(0.4, _LIVER, stay_share=0.6),
    LabPanel(0.35, _HEART, stay_share=0.4),
    LabPanel(0.15, _FIBRINOGEN, stay_share=0.25),
    LabPanel(0.1, _CHOLESTEROL, stay_share=0.2),
    LabPanel(0.02, _WBC_COUNT, stay_share=0.02),
    LabPanel(0.96, _GAS_MORE, kind="blood_gas"),
    LabPanel(0.12, _GAS_BLOOD, kind="blood_gas"),
    LabPanel(0.08, _GAS_SALT, kind="blood_gas"),
    LabPanel(0.3, _GAS_OXYGEN, kind="blood_gas"),
)
ALL_CHART_ITEMS = CHART_ITEMS + EXTENDED_CHART_ITEMS
ALL_LAB_ITEMS = LAB_ITEMS + tuple(item for panel in EXTENDED_LAB_PANELS for item in panel.items)
