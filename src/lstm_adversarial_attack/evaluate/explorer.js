"use strict";
(() => {
  const { base, axis, data, draw, hourAxis, table } = page;
  const { hours, measurements, samples, threshold } = data.explorer;
  const id = (name) => document.getElementById(`explore-${name}`);
  const [direction, choice, kind] = ["direction", "sample", "kind"].map(id);
  const also = [...id("also").querySelectorAll("input")];
  const scale = document.querySelector("#explore ~ .scale");
  const percent = (share) => `${(100 * share).toFixed(1)} %`;
  const counted = (count, noun) => `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
  const named = (place) => measurements[place][0] + (measurements[place][1] && ` (${measurements[place][1]})`);
  const listed = (places) => places.map((place) => measurements[place][0]).join(", ");
  // So many are drawn by themselves; a first example may change all there are.
  const MOST_DRAWN = 12;
  const ROW_PIXELS = 128;

  /** The hours of a series that is held as values and for how long each stays. */
  function unrolled(runs) {
    const series = [];
    for (let place = 0; place < runs.length; place += 2) series.push(...Array(runs[place + 1]).fill(runs[place]));
    return series;
  }

  const clock = (minute, hour) => (minute === null ? `hour ${hour}` : `${Math.floor(minute / 60)} h ${String(minute % 60).padStart(2, "0")} min`);

  function present() {
    const sample = samples[Number(choice.value)];
    return { sample, example: sample.kinds.find((one) => one.kind === kind.value) };
  }

  /** One measurement, before and after: hours, values, and what each cell is. */
  function seriesOf({ sample, example }, place) {
    const before = unrolled(sample.series[place]);
    const after = place in example.series ? unrolled(example.series[place]) : before;
    const observed = [...sample.observed[place]].map((mark) => mark === "1");
    const changed = new Set(example.cells.filter(([measurement]) => measurement === place).map(([, hour]) => hour));
    return { before, after, observed, changed };
  }

  /** The measurements drawn: those with the most changed cells, those chosen beside, in the order of the columns. */
  function drawnPlaces(example) {
    const count = (place) => example.cells.filter(([measurement]) => measurement === place).length;
    const different = Object.keys(example.series).map(Number).sort((a, b) => count(b) - count(a) || a - b);
    const chosen = also.filter((box) => box.checked).map((box) => Number(box.value));
    const drawn = [...new Set([...different.slice(0, MOST_DRAWN), ...chosen])].sort((a, b) => a - b);
    return { different, drawn };
  }

  function traces(shown, place, row) {
    const { before, after, observed, changed } = seriesOf(shown, place);
    const x = before.map((_, hour) => hour);
    const where = { type: "scatter", mode: "lines+markers", x, xaxis: "x", yaxis: `y${row || ""}` };
    const colour = `$${shown.sample.direction}`;
    const unit = measurements[place][1];
    const was = observed.map((measured) => (measured ? "measured" : "filled in"));
    const made = [{
      ...where, y: before, customdata: was, name: "before",
      hovertemplate: `hour %{x}: %{y} ${unit}, %{customdata}<extra>${measurements[place][0]}</extra>`,
      line: { color: "$faint", width: 1, shape: "hv" },
      marker: {
        opacity: 1, color: observed.map((measured) => (measured ? "$ink" : "$faint")), size: 5,
        symbol: observed.map((measured) => (measured ? "circle" : "circle-open")),
      },
    }];
    if (place in shown.example.series) {
      made.push({
        ...where, y: after.map((value, hour) => (changed.has(hour) || value !== before[hour] ? value : null)), name: "after",
        customdata: x.map((hour) => (changed.has(hour) ? "changed" : "carried forward")),
        hovertemplate: `hour %{x}: %{y} ${unit}, %{customdata}<extra>${measurements[place][0]}</extra>`,
        line: { color: colour, width: 2, shape: "hv" },
        marker: {
          opacity: 1, color: colour, size: x.map((hour) => (changed.has(hour) ? 10 : 4)),
          symbol: x.map((hour) => (changed.has(hour) ? "diamond" : "circle-open")),
        },
      });
    }
    return made;
  }

  function drawSeries(shown, places) {
    const rows = places.length;
    const layout = {
      ...base, height: 60 + ROW_PIXELS * Math.max(rows, 1), hovermode: "closest", margin: { ...base.margin, t: 24 },
      xaxis: { ...hourAxis(hours), anchor: `y${rows > 1 ? rows : ""}`, range: [-0.7, hours - 0.3] },
      annotations: [],
    };
    places.forEach((place, index) => {
      const [low, high] = [1 - (index + 0.78) / rows, 1 - index / rows];
      layout[`yaxis${index ? index + 1 : ""}`] = { ...axis, anchor: "x", domain: [low, high], nticks: 4 };
      layout.annotations.push({
        xref: "paper", yref: "paper", x: 0, y: high, xanchor: "left", yanchor: "bottom", showarrow: false,
        text: named(place).replace(/&/g, "&amp;").replace(/</g, "&lt;"), font: { size: 13, color: "$ink" },
      });
    });
    draw("explorer", { data: places.flatMap((place, index) => traces(shown, place, index && index + 1)), layout });
  }

  function numbers(shown, places) {
    const { example } = shown;
    return places.map((place) => {
      const { before, after, observed, changed } = seriesOf(shown, place);
      const rows = before.map((value, hour) => {
        const cell = changed.has(hour) ? "changed" : after[hour] === value ? "" : "carried forward";
        return [`Hour ${hour}`, String(value), String(after[hour]), observed[hour] ? "measured" : "filled in", cell];
      });
      const head = ["Hour", "Before", "After", "Value", "Change"];
      return table(`${named(place)}${place in example.series ? "" : ", unchanged"}`, head, rows, ["Value", "Change"]);
    });
  }

  function editsTable({ example }) {
    const rows = example.edits.map(([minute, hour, place, from, to, how]) => {
      return [clock(minute, hour), named(place), String(from), String(to), how];
    });
    const charted = example.edits.some(([minute]) => minute !== null);
    return table(
      charted ? "Charted values that change, in time since ICU admission" : "Cells that change, by hour since ICU admission",
      ["Time", "Measurement", "From", "To", charted ? "How" : "Cell"], rows, ["Measurement", "How", "Cell"],
    );
  }

  function placeOnScale(name, share) {
    scale.querySelector(`.${name}`).style.left = `${100 * share}%`;
  }

  function show() {
    const shown = present();
    const { sample, example } = shown;
    const { different, drawn } = drawnPlaces(example);
    const number = Number(choice.value) + 1;
    const words = sample.direction === "0_to_1" ? "a survivor comes to be called dead" : "a death comes to be called a survivor";
    const left = different.filter((place) => !drawn.includes(place)).length;
    const said = `Example ${number}, ${kind.value}: ${words}. Probability of death ${percent(sample.probability)} before, `
      + `${percent(example.probability)} after; the threshold is ${percent(threshold)}. `
      + `${counted(example.cells.length, "cell")} changed, of ${listed(different)}.`
      + (left ? ` Drawn are the ${MOST_DRAWN} measurements with the most changed cells; choose others below.` : "");
    id("said").textContent = said;
    document.getElementById("chart-explorer").setAttribute("aria-label", `Hourly series before and after the attack. ${said}`);
    document.getElementById("explorer").closest("section").style.setProperty("--direction", `var(--${sample.direction})`);
    [["before", sample.probability], ["after", example.probability], ["threshold", threshold]].forEach(([name, share]) => placeOnScale(name, share));
    drawSeries(shown, drawn);
    id("edits").replaceChildren(editsTable(shown));
    fillNumbers();
  }

  function fillNumbers() {
    const shown = present();
    if (id("numbers").open) id("numbers").querySelector(".scroll").replaceChildren(...numbers(shown, drawnPlaces(shown.example).drawn));
  }

  function list() {
    const options = samples.map((sample, place) => ({ sample, place })).filter(({ sample }) => sample.direction === direction.value);
    choice.replaceChildren(...options.map(({ sample, place }) => {
      const cells = sample.kinds.find((one) => one.kind === "sparsest").cells.length;
      return new Option(`Example ${place + 1}: ${counted(cells, "cell")} at least`, place);
    }));
    show();
  }

  /** Go on to another example of the direction; after the last comes the first. */
  function step(by) {
    const count = choice.options.length;
    choice.selectedIndex = (choice.selectedIndex + by + count) % count;
    show();
  }

  direction.addEventListener("change", list);
  [choice, kind, ...also].forEach((control) => control.addEventListener("change", show));
  id("previous").addEventListener("click", () => step(-1));
  id("next").addEventListener("click", () => step(1));
  id("numbers").addEventListener("toggle", fillNumbers);
  list();
})();
