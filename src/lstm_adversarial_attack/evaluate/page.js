"use strict";

/** What the pages with figures share: drawing by colour scheme, tables of numbers, sorting, printing. */
const page = (() => {
  const data = JSON.parse(document.querySelector('script[type="application/json"]').textContent);
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
    if (printing && element.clientWidth) layout.width = element.clientWidth;
    Plotly.react(element, traces, layout, config);
    // Its label and its table of numbers say what loose axis labels cannot; the toolbar stays in reach.
    element.querySelectorAll("svg.main-svg").forEach((svg) => svg.setAttribute("aria-hidden", "true"));
    document.querySelectorAll(`details[data-numbers="${id}"]`).forEach(fill);
  }

  function redraw() {
    drawn.forEach((figure, id) => draw(id, figure));
  }

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

  function cell(tag, text, { scope, textual = false }) {
    const element = document.createElement(tag);
    element.textContent = text;
    if (scope) element.scope = scope;
    if (textual) element.className = "text";
    return element;
  }

  /** A table of texts; the columns whose heads are among `textual` hold words and not numbers. */
  function table(caption, head, rows, textual = []) {
    const isTextual = (column) => textual.includes(head[column]);
    const made = document.createElement("table");
    made.createCaption().textContent = caption;
    made.createTHead().insertRow().append(...head.map((text, column) => cell("th", text, { scope: "col", textual: isTextual(column) })));
    const body = made.createTBody();
    rows.forEach(([first, ...rest]) => {
      const cells = rest.map((text, place) => cell("td", text, { textual: isTextual(place + 1) }));
      body.insertRow().append(cell("th", first, { scope: "row" }), ...cells);
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
  const hourAxis = (hours) => ({ ...axis, title: title("Hour since ICU admission"), dtick: hours > 12 ? 6 : 1 });

  /** The error bars of shares, each with the ends of its interval. */
  function whiskers(shares) {
    const part = (pick) => shares.map((share) => (share[1] === null ? 0 : pick(share)));
    return {
      type: "data", symmetric: false, color: "$ink", thickness: 1, width: 0,
      array: part(([value, , high]) => high - value), arrayminus: part(([value, low]) => value - low),
    };
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
  document.querySelectorAll("th[data-sort]").forEach(sortable);
  darkScheme.addEventListener("change", redraw);
  addEventListener("beforeprint", () => forPaper(true));
  addEventListener("afterprint", () => forPaper(false));

  return { data, axis, base, draw, hourAxis, table, title, whiskers };
})();
