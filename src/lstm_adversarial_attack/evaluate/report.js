"use strict";
(() => {
  const { data, axis, base, draw, title, whiskers } = page;
  const cells = data.susceptibility;
  const hours = Array.from({ length: cells.hours }, (_, hour) => hour);
  const hourAxis = page.hourAxis(cells.hours);

  function heatMap(condition, quantity) {
    const measured = quantity === "measured";
    const { label, format } = measured
      ? { label: "Share of training cells that were measured", format: ".1%" }
      : cells.quantities[quantity];
    const z = measured ? cells.measured : (cells.values[condition] || {})[quantity];
    const trace = {
      type: "heatmap", x: hours, y: cells.labels, z: z || [], zmin: 0, colorscale: "$scale",
      xgap: 1, ygap: 1, hoverongaps: false,
      hovertemplate: `%{y}, hour %{x}: %{z:${format}}<extra></extra>`,
      colorbar: {
        orientation: "h", thickness: 10, len: 1, x: 0.5, y: 1, yanchor: "bottom", outlinewidth: 0,
        tickformat: format.endsWith("%") ? ".0%" : "~g", nticks: 5, ypad: 4,
      },
    };
    const layout = {
      ...base, height: 110 + 21 * cells.labels.length, meta: { caption: label },
      xaxis: { ...hourAxis, showgrid: false },
      yaxis: { ...axis, autorange: "reversed", showgrid: false, title: { text: "" }, dtick: 1 },
    };
    return { label, figure: { data: [trace], layout } };
  }

  function measurementBars(condition, colour) {
    const order = cells.measurements[condition]
      .map((share, column) => ({ share, label: cells.labels[column], column }))
      .filter(({ share }) => share[0] !== null)
      .sort((a, b) => a.share[0] - b.share[0] || b.column - a.column);
    const shares = order.map(({ share }) => share);
    const trace = {
      type: "bar", orientation: "h", x: shares.map(([value]) => value), y: order.map(({ label }) => label),
      marker: { color: colour }, error_x: whiskers(shares), hovertemplate: "%{y}: %{x:.1%}<extra></extra>",
    };
    const layout = {
      ...base, height: 80 + 21 * cells.labels.length, bargap: 0.3, meta: { caption: "Share by measurement" },
      xaxis: { ...axis, tickformat: ".0%", rangemode: "tozero", title: title("Share of found examples") },
      yaxis: { ...axis, title: { text: "" }, dtick: 1, showgrid: false },
    };
    return { data: [trace], layout };
  }

  function hourBars(condition, colour) {
    const shares = cells.hour_shares[condition];
    const trace = {
      type: "bar", x: hours, y: shares.map(([value]) => value), marker: { color: colour },
      error_y: whiskers(shares), hovertemplate: "hour %{x}: %{y:.1%}<extra></extra>",
    };
    const layout = {
      ...base, height: 300, bargap: 0.2, meta: { caption: "Share by hour" },
      xaxis: { ...hourAxis, showgrid: false },
      yaxis: { ...axis, tickformat: ".0%", rangemode: "tozero", title: title("Share of found examples") },
    };
    return { data: [trace], layout };
  }

  const selects = ["direction", "kind", "quantity"].map((name) => document.getElementById(`choose-${name}`));

  function choose() {
    const [direction, kind, quantity] = selects.map((select) => select.value);
    const condition = `${direction}/${kind}`;
    const found = cells.examples[condition];
    const { label, figure } = heatMap(condition, quantity);
    const words = selects.slice(0, 2).map((select) => select.selectedOptions[0].textContent.trim()).join(", ");
    const empty = found === 0 && quantity !== "measured";
    document.getElementById("choice-said").textContent = empty
      ? `${words}: no example was found, so there is nothing to show.`
      : quantity === "measured"
        ? `${label}, for any direction and kind.`
        : `${label}. ${words}; ${found.toLocaleString("en")} found example${found === 1 ? "" : "s"}.`;
    document.getElementById("chart-heat").setAttribute("aria-label", `Heat map by hour and measurement. ${label}. ${words}.`);
    document.getElementById("heat-figure").hidden = empty;
    document.getElementById("share-figures").hidden = found === 0;
    if (!empty) draw("heat", figure);
    if (found > 0) {
      draw("by-measurement", measurementBars(condition, `$${direction}`));
      draw("by-hour", hourBars(condition, `$${direction}`));
    }
    document.querySelectorAll("[data-condition]").forEach((part) => {
      part.hidden = part.dataset.condition !== condition;
    });
  }

  selects.forEach((select) => select.addEventListener("change", choose));
  choose();
})();
