"""D_ITEMS and D_LABITEMS: the public names of every item that the synthetic wards record."""

import polars as pl

from .extended_items import ALL_CHART_ITEMS, ALL_LAB_ITEMS, NOTE_ITEMS
from .items import ChartItem, NoteItem
from .outputs import OUTPUT_ITEMS


def item_dictionary() -> pl.DataFrame:
    """D_ITEMS for chart and output items, ordered by item id, without ROW_ID."""
    charted: tuple[ChartItem | NoteItem, ...] = (*ALL_CHART_ITEMS, *NOTE_ITEMS)
    rows: list[tuple[int | str | None, ...]] = [
        (i.item_id, i.label, i.abbreviation, i.system, "chartevents", i.category, i.unit_name, i.param_type)
        for i in charted
    ]
    rows += [
        (i.item_id, i.label, None, i.system, "outputevents", None, None, None)
        if i.system == "carevue"
        else (i.item_id, i.label, i.label, i.system, "outputevents", i.category, "mL", "Numeric")
        for i in OUTPUT_ITEMS
    ]
    names = ("ITEMID", "LABEL", "ABBREVIATION", "DBSOURCE", "LINKSTO", "CATEGORY", "UNITNAME", "PARAM_TYPE")
    columns = zip(*sorted(rows, key=lambda row: str(row[0]).zfill(6)), strict=True)
    frame = pl.DataFrame(dict(zip(names, map(list, columns), strict=True)))
    return frame.with_columns(pl.lit(None, dtype=pl.String).alias("CONCEPTID"))


def lab_dictionary() -> pl.DataFrame:
    """D_LABITEMS for the laboratory's items, ordered by item id, without ROW_ID."""
    items = sorted(ALL_LAB_ITEMS, key=lambda item: item.item_id)
    return pl.DataFrame(
        {
            "ITEMID": [item.item_id for item in items],
            "LABEL": [item.label for item in items],
            "FLUID": ["Blood"] * len(items),
            "CATEGORY": [item.category for item in items],
            "LOINC_CODE": [item.loinc_code for item in items],
        }
    )
