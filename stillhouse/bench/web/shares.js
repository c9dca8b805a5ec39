// Plots of shares: of requests that waited no longer, and of what the machine allows.

const CDF_MEASURES = MEASURES.filter(([name]) => name !== "itl_s");

/** For one load: which share of requests had it within so many seconds. */
function drawDistribution(holder, view, cells, ui) {
  const { measure } = ui, load = ui.loads[view.name];
  const choices = [oneOf("measure", "Measure", CDF_MEASURES.map(([name, text]) => [name, text]),
    measure, ui.choose("measure")),
  el("label", { class: "load" }, "Load ", el("select", { name: "load",
    onchange: (event) => ui.chooseLoad(view, Number(event.target.value)) },
  view.loads.map((one) => el("option", { value: one, selected: one === load },
    loadText(view.loop, one)))))];
  const here = cells.filter((cell) => loadOf(cell) === load);
  const curves = bySeries(here).map(([series, own]) => ({ series, own,
    values: own.flatMap((cell) => (cell.request_records ?? []).map((record) => record[measure]))
      .filter(isNumber).sort((a, b) => a - b) })).filter(({ values }) => values.length);
  const failed = here.reduce((sum, cell) => sum + cell.errors, 0);
  const promise = DOCUMENT.slo?.[measure];
  const values = curves.flatMap((curve) => curve.values);
  const most = Math.max(...values), isNear = isNumber(promise) && promise <= most * 1.5;
  const keys = curves.length > FEW ? [] : curves.map(({ series, values: own }) =>
    el("span", { class: "named" }, markOf(series),
      `${series.name}, ${tokens(own.length)} requests`));
  if (isNear) keys.push(key("promise", `SLO ${duration(promise)}`));
  fill(holder, "Distribution", keys, (hint) => {
    if (!curves.length) return noneOf(`No request has this with ${loadText(view.loop, load)}.`);
    const width = widthOf(holder), box = boxOf(width);
    const drawing = drawingOf(width, PLOT_HEIGHT,
      `Distribution of ${measureName(measure)} at ${loadText(view.loop, load)}`);
    const high = Math.max(most, isNear ? promise : 0) * 1.05 || 1;
    const unit = high < 1 ? 1000 : 1;
    const x = { at: scale(0, high, box.left, box.right),
      ticks: linearTicks(high * unit, width < 420 ? 4 : 7).map((tick) => tick / unit),
      text: (tick) => Number((tick * unit).toPrecision(6)).toLocaleString("en"),
      name: `${measureName(measure).toLowerCase()}, ${unit === 1 ? "s" : "ms"}` };
    const y = { at: scale(0, 1, box.bottom, box.top), ticks: [0, 0.25, 0.5, 0.75, 1],
      text: wholePercent, name: "of requests" };
    drawAxes(drawing, box, x, y);
    drawing.append(line(box.left, y.at(0.95), box.right, y.at(0.95), "axis faint"),
      label(box.left + 5, y.at(0.95) + 13, "95 %", { class: "said" }));
    if (isNear) drawing.append(line(x.at(promise), box.top, x.at(promise), box.bottom, "promise"));
    for (const { series, values: own } of curves) {
      drawing.append(svg("path", { class: `curve ${series.colour}`, "data-series": series.n,
        "data-count": own.length, d: stepsOf(own, x.at, y.at) + `H${box.right}` }));
    }
    for (const { series, own, values: sorted } of curves) {
      const middle = Math.ceil(sorted.length / 2) - 1, spread = own[0][measure];
      drawing.append(cellMark(own[0], x.at(sorted[middle]), y.at(0.5), hint, ui.show, () => [
        spread ? `p50 ${duration(spread.p50)}, p95 ${duration(spread.p95)}, `
          + `p99 ${duration(spread.p99)}` : `p50 ${duration(sorted[middle])}`,
        `from ${duration(sorted[0])} to ${duration(sorted.at(-1))}, `
          + `${tokens(sorted.length)} requests`]));
    }
    return roving(drawing);
  }, `To the left is better. ${MEASURES.find(([name]) => name === measure)[2]}.`
    + (failed ? ` ${tokens(failed)} failed requests are not in the curves.` : ""), choices);
}

/** Rises by one request's share at each value. */
function stepsOf(sorted, x, y) {
  let path = `M${x(0).toFixed(1)} ${y(0).toFixed(1)}`;
  sorted.forEach((value, n) => {
    path += `H${x(value).toFixed(1)}V${y((n + 1) / sorted.length).toFixed(1)}`;
  });
  return path;
}

/** Output as a share of what memory and products allow, for each load and series. */
function drawShares(holder, view, cells, ui) {
  const known = cells.filter((cell) => isNumber(cell.roofline_share));
  const keys = [key("promise", "the machine's limit")];
  fill(holder, "Share of the roofline", keys, (hint) => {
    if (!known.length) {
      const why = cells.find((cell) => cell.roofline_how)?.roofline_how;
      return noneOf(why ? `Not available: ${why}` : "The limit is not known.");
    }
    const width = widthOf(holder), box = boxOf(width), shown = bySeries(cells);
    const most = Math.max(1, ...known.map((cell) => cell.roofline_share)) * 1.06;
    const room = (box.right - box.left) / view.loads.length;
    const middle = (load) => box.left + room * (view.loads.indexOf(load) + 0.5);
    const drawing = drawingOf(width, PLOT_HEIGHT, "Share of the roofline for each load and series");
    const step = most > 3 ? Math.ceil(most / 5) : 0.25;
    const ticks = Array.from({ length: Math.floor(most / step) + 1 }, (_, n) => n * step);
    drawAxes(drawing, box, { at: middle, ticks: [], name: view.loop === "open"
      ? "requests/s offered" : "users at once" }, { at: scale(0, most, box.bottom, box.top), ticks,
      text: wholePercent, name: "of the roofline" });
    for (const load of view.loads) {
      drawing.append(label(middle(load), box.bottom + 17, load.toLocaleString("en"),
        { "text-anchor": "middle" }));
    }
    const y = scale(0, most, box.bottom, box.top);
    drawing.append(line(box.left, y(1), box.right, y(1), "promise"));
    const wide = Math.min(34, room * 0.82 / shown.length);
    const inOrder = view.loads.flatMap((load) => shown.flatMap(([, own], n) =>
      own.filter((cell) => loadOf(cell) === load).slice(0, 1).map((cell) => [cell, n])));
    for (const [cell, n] of inOrder) {
      const left = middle(loadOf(cell)) + (n - shown.length / 2) * wide;
      drawing.append(shareBar(cell, left, wide, y, hint, ui));
    }
    return roving(drawing);
  }, "Up is better: at 100 % memory or products are what takes all the time.");
}

function shareBar(cell, left, wide, y, hint, ui) {
  const series = SERIES[cell.series], share = cell.roofline_share, has = isNumber(share);
  const lines = () => [`${series.name}, ${loadName(cell)}`, has
    ? `${(share * 100).toFixed(1)} % of ${figure(cell.roofline_tokens_per_s)} tok/s`
    : "Share not available", cell.roofline_how, ...warningsOf(cell).map(([, text]) => text)]
    .filter(Boolean);
  const group = svg("g", { ...chosenBy(() => ui.show(cell)),
    class: `mark share ${series.colour}${isDoubtful(cell) ? " doubtful" : ""}`,
    "data-number": cell.number, "data-share": has ? share : null,
    "aria-label": lines().join("; ") });
  const top = y(has ? share : 0), inner = Math.max(1, wide - Math.min(3, wide * 0.2));
  group.append(svg("rect", { x: left, y: y(1), width: wide, height: y(0) - y(1),
    class: "catch" }));
  if (has) {
    group.append(svg("rect", { x: left + (wide - inner) / 2, y: top, width: inner,
      height: Math.max(0, y(0) - top), class: "bar-of" }));
    if (wide >= 12) {
      group.append(svg("path", { class: `dot ${series.colour}`,
        d: shapeAt(series.shape, left + wide / 2, top - 9, 3.5) }));
    }
  } else {
    group.append(label(left + wide / 2, y(0) - 5, wide >= 24 ? "n/a" : "–",
      { "text-anchor": "middle" }));
  }
  return hint(group, lines);
}
