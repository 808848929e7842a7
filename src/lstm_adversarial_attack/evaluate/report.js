"use strict";
(() => {
  const data = JSON.parse(document.getElementById("report-data").textContent);
  const cells = data.susceptibility;
  const darkScheme = matchMedia("(prefers-color-scheme: dark)");
  const config = {
    displaylogo: false,
    responsive: true,
    // Without a pointer that hovers, the toolbar would lie over the figure for good.
    ...(matchMedia("(hover: hover)").matches ? {} : { displayModeBar: false }),
    modeBarButtonsToRemove: ["select2d", "lasso2d", "zoomIn2d", "zoomOut2d", "autoScale2d"],
  };
  const drawn = new Map();
  let printing = false;

  /** Put the colours of the present scheme in place of their names. */
  function coloured(value) {
    const palette = data.palettes[darkScheme.matches && !printing ? "dark" : "light"];
    const walk = (part) => {
      if (typeof part === "string") return Object.hasOwn(palette, part) ? palette[part] : part;
      if (Array.isArray(part)) return part.map(walk);
      if (part && typeof part === "object") {
        return Object.fromEntries(Object.entries(part).map(([key, item]) => [key, walk(item)]));
      }
      return part;
    };
    return walk(value);
  }

  function draw(id, figure) {
    const element = document.getElementById(`chart-${id}`);
    if (!element) return;
    drawn.set(id, figure);
    const { data: traces, layout } = coloured(figure);
    // Plotly measures a chart once; for paper it has another width.
    if (printing && element.clientWidth) layout.width = element.clientWidth;
    Plotly.react(element, traces, layout, config);
  }

  function redraw() {
    drawn.forEach((figure, id) => draw(id, figure));
  }

  function cell(tag, text, scope) {
    const element = document.createElement(tag);
    element.textContent = text;
    if (scope) element.scope = scope;
    return element;
  }

  function table(caption, head, rows) {
    const made = document.createElement("table");
    made.createCaption().textContent = caption;
    made.createTHead().insertRow().append(...head.map((text) => cell("th", text, "col")));
    const body = made.createTBody();
    rows.forEach(([first, ...rest]) => {
      body.insertRow().append(cell("th", first, "row"), ...rest.map((text) => cell("td", text)));
    });
    return made;
  }

  const shown = (value) => (value === null || value === undefined ? "–" : String(value));

  /** The numbers of a figure as tables: one for each of its lines, or the grid of a heat map. */
  function numbers(figure) {
    const { layout } = figure;
    const traces = figure.data.filter((trace) => trace.hoverinfo !== "skip");
    return traces.map((trace) => {
      if (trace.type === "heatmap") {
        const rows = trace.y.map((name, row) => [name, ...trace.z[row].map(shown)]);
        return table(layout.meta.caption, ["Measurement", ...trace.x.map((hour) => `Hour ${hour}`)], rows);
      }
      const across = trace.orientation === "h";
      const [first, second] = across ? [trace.y, trace.x] : [trace.x, trace.y];
      const titles = [layout.xaxis.title.text, layout.yaxis.title.text];
      const head = (across ? titles.reverse() : titles).map((text) => text || "");
      return table(trace.name || layout.meta.caption, head, first.map((x, i) => [shown(x), shown(second[i])]));
    });
  }

  document.querySelectorAll("details[data-numbers]").forEach((details) => {
    details.addEventListener("toggle", () => fill(details));
  });

  function fill(details) {
    const figure = drawn.get(details.dataset.numbers);
    if (details.open && figure) details.querySelector(".scroll").replaceChildren(...numbers(figure));
  }

  const axis = { gridcolor: "$grid", linecolor: "$faint", zeroline: false, automargin: true, tickfont: { size: 12 } };
  const base = {
    margin: { l: 8, r: 12, t: 8, b: 8 },
    showlegend: false,
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    modebar: { bgcolor: "rgba(0,0,0,0)", color: "$faint", activecolor: "$ink" },
    font: { family: "system-ui, sans-serif", size: 13, color: "$muted" },
    hoverlabel: { bgcolor: "$raised", bordercolor: "$faint", font: { color: "$ink" } },
  };
  const title = (text) => ({ text, standoff: 8, font: { size: 13 } });
  const hours = Array.from({ length: cells.hours }, (_, hour) => hour);
  const hourAxis = { ...axis, title: title("Hour since ICU admission"), dtick: cells.hours > 12 ? 6 : 1 };

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

  function whiskers(shares) {
    const part = (pick) => shares.map((share) => (share[1] === null ? 0 : pick(share)));
    return {
      type: "data", symmetric: false, color: "$ink", thickness: 1, width: 0,
      array: part(([value, , high]) => high - value), arrayminus: part(([value, low]) => value - low),
    };
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
    document.querySelectorAll("#susceptibility details[data-numbers]").forEach(fill);
  }

  function sortable(header) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...header.childNodes);
    header.append(button);
    button.addEventListener("click", () => sort(header));
  }

  /** Sort by the column: numbers largest first, then the other way; undefined values stay last. */
  function sort(header) {
    const body = header.closest("table").tBodies[0];
    const column = header.cellIndex;
    const numeric = header.dataset.sort === "number";
    const falling = header.hasAttribute("aria-sort") ? header.ariaSort === "ascending" : numeric;
    const key = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent.trim();
    const sign = falling ? -1 : 1;
    const compare = (a, b) => {
      const [x, y] = [key(a), key(b)];
      if (!numeric) return sign * x.localeCompare(y, "en");
      if (x === "" || y === "") return (x === "") - (y === "");
      return sign * (Number(x) - Number(y));
    };
    header.parentElement.querySelectorAll("th").forEach((other) => other.removeAttribute("aria-sort"));
    header.setAttribute("aria-sort", falling ? "descending" : "ascending");
    body.append(...[...body.rows].sort(compare));
  }

  Object.entries(data.figures).forEach(([id, figure]) => draw(id, figure));
  selects.forEach((select) => select.addEventListener("change", choose));
  choose();
  document.querySelectorAll("th[data-sort]").forEach(sortable);
  darkScheme.addEventListener("change", redraw);
  /** Draw for paper, or for the screen again. */
  function forPaper(now) {
    printing = now;
    document.documentElement.classList.toggle("printing", now);
    redraw();
    if (now) return;
    drawn.forEach((_, id) => {
      const element = document.getElementById(`chart-${id}`);
      if (element.offsetParent) Plotly.Plots.resize(element);
    });
  }
  addEventListener("beforeprint", () => forPaper(true));
  addEventListener("afterprint", () => forPaper(false));
})();
