// Plots with a line for each series: throughput, waiting, and one against the other.

const PLOT_HEIGHT = 300;
const boxOf = (width) => ({ left: 60, right: width - 14, top: 12, bottom: PLOT_HEIGHT - 46 });
const FEW = 4; // series: more are named by the buttons alone, and their bands are fainter
const isPowerOf2 = (value) => value > 0 && Number.isInteger(Math.log2(value));

/** Where loads are powers of two, or far apart, the axis is one of their logarithms. */
function loadAxis(view, { left, right }) {
  const { loads, loop } = view, name = loop === "open" ? "requests/s offered" : "users at once";
  const low = loads[0], high = loads.at(-1);
  const common = { ticks: loads, text: (load) => load.toLocaleString("en"), name, apart: 26 };
  if (loads.every(isPowerOf2) || (low > 0 && high >= 8 * low)) {
    const at_ = logScale(low / 1.25, high * 1.25, left, right);
    return { ...common, at: at_, name: loads.length > 1 ? `${name} (log)` : name };
  }
  return { ...common, at: scale(0, high * 1.06, left, right) };
}

function valueAxis(most, name, { top, bottom }) {
  return { at: scale(0, most, bottom, top), ticks: linearTicks(most, 5),
    text: (tick) => tick.toLocaleString("en"), name };
}

function logAxis(values, name, { top, bottom }, asSeconds) {
  const low = Math.min(...values) / 1.25, high = Math.max(...values) * 1.25;
  const powers = Array.from({ length: 19 }, (_, n) => 10 ** (n - 9));
  const nice = asSeconds ? NICE_SECONDS : powers.flatMap((one) => [one, 2 * one, 5 * one]);
  const ticks = nice.filter((tick) => tick >= low && tick <= high);
  const shown = ticks.length > 9 ? ticks.filter((_, n) => n % 2 === 0) : ticks;
  const plain = (tick) => Number(tick.toPrecision(2)).toLocaleString("en");
  return { at: logScale(low, high, bottom, top), ticks: shown,
    text: asSeconds ? tickSeconds : plain, name };
}

/** The mark of a cell: hollow where requests failed or the cell was stopped. */
function cellMark(cell, x, y, hint, show, lines) {
  const series = SERIES[cell.series];
  const all = () => [`${series.name}, ${loadName(cell)}`, ...lines(),
    ...warningsOf(cell).map(([, text]) => text)];
  return hint(svg("path", { ...chosenBy(() => show(cell)), d: shapeAt(series.shape, x, y, 5),
    class: `mark dot ${series.colour}${isDoubtful(cell) ? " doubtful" : ""}`,
    "data-number": cell.number, "data-x": x.toFixed(1), "data-y": y.toFixed(1),
    "aria-label": all().join("; ") }), all);
}

/** Cells by series, in the order of their loads. */
const bySeries = (cells) => SERIES.map((series) => [series,
  cells.filter((cell) => cell.series === series.n).sort((a, b) => loadOf(a) - loadOf(b))])
  .filter(([, own]) => own.length);

const doubtfulKey = (cells) => (cells.some(isDoubtful)
  ? [key("hollow", "requests failed, or stopped early")] : []);

/** Output of all users together, with what the machine allows each series, dashed. */
function drawThroughput(holder, view, cells, ui) {
  const usable = cells.filter((cell) => isNumber(loadOf(cell)));
  const limits = usable.filter((cell) => isNumber(cell.roofline_tokens_per_s));
  const keys = [...(limits.length ? [key("dashes", "what memory and products allow")] : []),
    ...doubtfulKey(usable)];
  const isLog = ui.throughput === "log";
  const choices = oneOf("throughput", "Axis", [["linear", "linear"], ["log", "log"]],
    ui.throughput, ui.choose("throughput"));
  fill(holder, "Output", keys, (hint) => {
    if (!usable.length) return noneOf("Nothing is shown.");
    const width = widthOf(holder), box = boxOf(width), x = loadAxis(view, box);
    const values = [...usable.map((cell) => cell.output_tokens_per_s),
      ...limits.map((cell) => cell.roofline_tokens_per_s)];
    const positive = values.filter((value) => value > 0), name = "output tok/s, all users";
    const y = isLog && positive.length ? logAxis(positive, `${name} (log)`, box)
      : valueAxis((Math.max(...values) || 1) * 1.06, name, box);
    const drawing = drawingOf(width, PLOT_HEIGHT, "Output tokens per second against load");
    drawAxes(drawing, box, x, y);
    const there = (cell, value) => [x.at(loadOf(cell)), isLog && !value ? box.bottom : y.at(value)];
    for (const [series, own] of bySeries(limits)) {
      drawing.append(svg("path", { class: `roof ${series.colour}`, "data-series": series.n,
        d: pathOf(own.map((cell) => there(cell, cell.roofline_tokens_per_s))) }));
    }
    const groups = bySeries(usable);
    for (const [series, own] of groups) {
      drawing.append(svg("path", { class: `curve ${series.colour}`, "data-series": series.n,
        d: pathOf(own.map((cell) => there(cell, cell.output_tokens_per_s))) }));
    }
    for (const cell of groups.flatMap(([, own]) => own)) {
      drawing.append(cellMark(cell, ...there(cell, cell.output_tokens_per_s), hint, ui.show, () => [
        `${figure(cell.output_tokens_per_s)} tok/s together, `
          + `${figure(cell.user_tokens_per_s)} for each user`,
        isNumber(cell.roofline_share)
          ? `${wholePercent(cell.roofline_share)} of ${figure(cell.roofline_tokens_per_s)} tok/s`
          : `No limit: ${cell.roofline_how ?? "it is not known"}`]));
    }
    return roving(drawing);
  }, "Up is better. Thoughts and answers of all users together.", [choices]);
}

/** A promise as a line, where it is not far outside of what was measured. */
function promised(drawing, name, [low, high], draw) {
  const promise = DOCUMENT.slo?.[name];
  if (isNumber(promise) && promise >= low && promise <= high) draw(promise);
}

/** Seconds to the first token or the first answer: the median as a line, up to p95 as a band. */
function drawWaiting(holder, measure, view, cells, ui) {
  const has = (cell) => cell[measure] && isNumber(loadOf(cell));
  const usable = cells.filter(has);
  // Both plots have one axis, so that they can be compared: what lies between is the thought.
  const spreads = cells.filter((cell) => isNumber(loadOf(cell)))
    .flatMap((cell) => [cell.ttft_s, cell.ttfat_s]).filter(Boolean);
  const seen = spreads.flatMap((spread) => [spread.p50, spread.p95]).filter((value) => value > 0);
  const promise = DOCUMENT.slo?.[measure];
  const isNear = isNumber(promise) && promise <= Math.max(...seen) * 2
    && promise >= Math.min(...seen) / 2;
  const keys = [key("band", "up to p95"), isNear ? key("promise", "SLO") : null,
    ...doubtfulKey(usable)].filter(Boolean);
  const note = ["Down is better. The line is the median.", isNumber(promise) && !isNear
    ? `The SLO, ${duration(promise)}, is outside of the plot.` : ""].filter(Boolean).join(" ");
  fill(holder, `Wait for the first ${measure === "ttft_s" ? "token" : "answer"}`, keys,
    (hint) => {
      if (!usable.length) {
        return noneOf(measure === "ttft_s" ? "No request had a first token."
          : "No request came to an answer.");
      }
      const width = widthOf(holder), box = boxOf(width), x = loadAxis(view, box);
      const all = isNear ? [...seen, promise] : seen;
      const name = measure === "ttft_s" ? "TTFT (log)" : "time to the answer (log)";
      const y = logAxis(all, name, box, true);
      const drawing = drawingOf(width, PLOT_HEIGHT, `${measureName(measure)} against load`);
      drawAxes(drawing, box, x, y);
      const groups = bySeries(usable);
      const there = (cell, value) => [x.at(loadOf(cell)), value > 0 ? y.at(value) : box.bottom];
      if (groups.length > FEW) drawing.classList.add("crowd");
      for (const [series, own] of groups) {
        const upper = own.map((cell) => there(cell, cell[measure].p95));
        const lower = own.map((cell) => there(cell, cell[measure].p50));
        drawing.append(svg("path", { class: `band ${series.colour}`, "data-series": series.n,
          d: `${pathOf([...upper, ...lower.reverse()])}Z` }));
      }
      promised(drawing, measure, isNear ? [0, Infinity] : [1, 0], (value) => drawing.append(
        line(box.left, y.at(value), box.right, y.at(value), "promise"),
        label(box.left + 5, y.at(value) - 5, `SLO ${duration(value)}`, { class: "said" })));
      for (const [series, own] of groups) {
        drawing.append(svg("path", { class: `curve ${series.colour}`, "data-series": series.n,
          d: pathOf(own.map((cell) => there(cell, cell[measure].p50))) }));
      }
      for (const cell of groups.flatMap(([, own]) => own)) {
        const spread = cell[measure];
        drawing.append(cellMark(cell, ...there(cell, spread.p50), hint, ui.show, () => [
          `p50 ${duration(spread.p50)}, p95 ${duration(spread.p95)}, p99 ${duration(spread.p99)}`,
          `of ${tokens(spread.count)} requests`]));
      }
      return roving(drawing);
    }, note);
}

/** What all get against what each gets: the choice of a load. */
function drawPareto(holder, view, cells, ui) {
  const usable = cells.filter((cell) => isNumber(cell.user_tokens_per_s) && cell.requests);
  const best = undominated(usable, (cell) => -cell.user_tokens_per_s,
    (cell) => cell.output_tokens_per_s);
  const wanted = DOCUMENT.slo?.tpot_s > 0 ? 1 / DOCUMENT.slo.tpot_s : undefined;
  const most = Math.max(...usable.map((cell) => cell.user_tokens_per_s)) * 1.1;
  const isPromised = isNumber(wanted) && wanted < most;
  const keys = [key("dashes", "frontier: nothing is better at both"),
    isPromised ? key("promise", `SLO: ${duration(DOCUMENT.slo.tpot_s)} a token`) : null,
    ...doubtfulKey(usable)].filter(Boolean);
  fill(holder, "Output against speed for each user", keys, (hint) => {
    if (!usable.length) return noneOf("No request had two tokens.");
    const width = widthOf(holder), box = boxOf(width);
    const x = { at: scale(0, most, box.left, box.right), ticks: linearTicks(most, 6),
      text: (tick) => tick.toLocaleString("en"), name: "tok/s for each user" };
    const y = valueAxis(Math.max(...usable.map((cell) => cell.output_tokens_per_s)) * 1.1,
      "output tok/s, all users", box);
    const drawing = drawingOf(width, PLOT_HEIGHT, "Output against speed for each user");
    drawAxes(drawing, box, x, y);
    if (isPromised) {
      drawing.append(line(x.at(wanted), box.top, x.at(wanted), box.bottom, "promise"));
    }
    const there = (cell) => [x.at(cell.user_tokens_per_s), y.at(cell.output_tokens_per_s)];
    drawing.append(svg("path", { class: "frontier", d: pathOf(best.map(there)) }));
    const groups = bySeries(usable);
    for (const [series, own] of groups) {
      drawing.append(svg("path", { class: `curve ${series.colour}`, "data-series": series.n,
        d: pathOf(own.map(there)) }));
    }
    const taken = usable.map(there);
    for (const cell of [...best, ...usable.filter((one) => !best.includes(one))]) {
      const [across, up] = there(cell), isFree = (left, top) => taken.every(([x_, y_]) =>
        Math.abs(x_ - left) > 13 || Math.abs(y_ - top) > 11);
      const spot = [[across + 14, up - 9], [across - 14, up - 9], [across + 14, up + 9],
        [across - 14, up + 9]].find(([left, top]) => isFree(left, top));
      if (!spot || !isNumber(loadOf(cell))) continue;
      taken.push(spot);
      drawing.append(label(spot[0], spot[1] + 4, loadOf(cell).toLocaleString("en"),
        { "text-anchor": "middle", class: best.includes(cell) ? "callout" : "load-of" }));
    }
    for (const cell of groups.flatMap(([, own]) => own)) {
      drawing.append(cellMark(cell, ...there(cell), hint, ui.show, () => [
        `${figure(cell.output_tokens_per_s)} tok/s together`,
        `${figure(cell.user_tokens_per_s)} tok/s for each user`]));
    }
    return roving(drawing);
  }, "Up and to the right is better. Numbers are "
    + `${view.loop === "open" ? "requests/s" : "users at once"}.`);
}
