// What a ladder costs: divergence against size, and how unevenly it lies over the predictions.

const LADDER_HEIGHT = 360;
const POWERS = Array.from({ length: 19 }, (_, n) => 10 ** (n - 12));
const MARKS = [["50", "half of them"], ["90", "90 %"], ["99", "99 %"], ["100", "the largest"]];

const small = (value) => (value >= 0.001 && value < 1000 ? String(Number(value.toPrecision(3)))
  : value.toExponential(1));

/** An axis of logarithms around positive values; ticks at 1, 2 and 5, or at powers of ten. */
function logTicks(low, high) {
  const all = (steps) => POWERS.flatMap((power) => steps.map((step) => step * power))
    .filter((tick) => tick >= low && tick <= high);
  return all([1, 2, 5]).length > 9 ? all([1]) : all([1, 2, 5]);
}

/** Divergence against size: down and to the left is better. */
function drawLadder(holder, results) {
  const shown = results.filter((one) => one.kl.value > 0);
  const lost = results.length - shown.length;
  const note = "Down and to the left is better; along the line, nothing smaller diverges less."
    + " Whiskers: 95 % of a normal error."
    + (lost ? ` Not shown: ${lost} without divergence, for which this axis has no place.` : "");
  fill(holder, "Divergence against size", [], (hint) => {
    if (!shown.length) return el("p", { class: "none" }, "Nothing here diverges.");
    return ladder(widthOf(holder), shown, hint);
  }, note);
}

function ladder(width, shown, hint) {
  const box = { left: 62, right: width - 16, top: 14, bottom: LADDER_HEIGHT - 46 };
  const low = (one) => Math.max(one.kl.value - 1.96 * one.kl.error, one.kl.value / 4);
  const high = (one) => one.kl.value + 1.96 * one.kl.error;
  const least = Math.min(...shown.map(low)) / 1.4, most = Math.max(...shown.map(high)) * 1.4;
  const sizes = shown.map((one) => one.file_bytes / 1e9);
  const span = Math.max(Math.max(...sizes) - Math.min(...sizes), Math.max(...sizes) * 0.1);
  const from = Math.max(0, Math.min(...sizes) - span * 0.08), to = Math.max(...sizes) + span * 0.16;
  const x = scale(from, to, box.left, box.right);
  const y = logScale(least, most, box.bottom, box.top);
  const drawing = drawingOf(width, LADDER_HEIGHT, "Divergence from the source against size");
  const ticks = ticksBetween(from, to, 6);
  drawAxes(drawing, box, { at: x, ticks, text: (tick) => String(Number(tick.toPrecision(3))),
    name: "file, GB" },
  { at: y, ticks: logTicks(least, most), text: small, name: "mean KL divergence, nats (log)" });
  drawing.append(svg("path", { class: "frontier", d: frontier(shown, x, y) }));
  const taken = [];
  for (const one of shown) {
    const cx = x(one.file_bytes / 1e9), cy = y(one.kl.value);
    drawing.append(line(cx, y(low(one)), cx, y(high(one)), "whisker"));
    const lines = () => [one.model, `${bytesText(one.file_bytes)}, ${figure(one.bits_per_weight)}`
      + " bits a weight", `KL ${small(one.kl.value)} ± ${small(one.kl.error)}`,
    `same likeliest token ${percent(one.same_top.value)} %`];
    drawing.append(hint(svg("path", { d: shapeAt(0, cx, cy, 5), class: "mark dot",
      "data-x": cx.toFixed(1), "data-y": cy.toFixed(1), "aria-label": lines().join("; ") }),
    lines));
    const name = labelBeside(one.short, cx, cy, box, taken);
    if (name) drawing.append(name);
  }
  return roving(drawing);
}

/** Steps along the models that nothing smaller, or as small, diverges less than. */
function frontier(shown, x, y) {
  return undominated(shown, (one) => one.file_bytes, (one) => -one.kl.value).map((one, n) => {
    const there = x(one.file_bytes / 1e9).toFixed(1), up = y(one.kl.value).toFixed(1);
    return n ? `H${there}V${up}` : `M${there} ${up}`;
  }).join("");
}

/** For each model a row: below which divergence half of the predictions lie, 90 %, 99 %, all. */
function drawSpread(holder, results) {
  const shown = results.filter((one) => one.kl_percentiles["100"] > 0);
  const keys = MARKS.map(([at_, text]) => key(`p${at_}`, text));
  fill(holder, "How it is spread over the predictions", keys, (hint) => {
    if (!shown.length) return el("p", { class: "none" }, "Nothing here diverges.");
    return spread(widthOf(holder), shown, hint);
  }, "The divergence that so many of the predictions stay under. A few bad ones can turn an answer.");
}

function spread(width, shown, hint) {
  const longest = Math.max(...shown.map((one) => textWidth(one.short, "11.5px"))) + 18;
  const row = 26, left = Math.min(longest, width * 0.45), right = width - 18, top = 6;
  const bottom = top + row * shown.length;
  const values = shown.flatMap((one) => MARKS.map(([at_]) => one.kl_percentiles[at_]))
    .filter((value) => value > 0);
  const most = Math.max(...values) * 1.5, least = Math.max(Math.min(...values), most / 1e8) / 1.5;
  const x = logScale(least, most, left, right);
  const drawing = drawingOf(width, bottom + 46, "Percentiles of the divergence");
  drawAxes(drawing, { left, right, top, bottom }, { at: x, ticks: logTicks(least, most)
    .filter((tick) => Number.isInteger(Math.log10(tick))), text: small,
  name: "KL divergence, nats (log)", apart: 40 }, null);
  shown.forEach((one, n) => {
    const y = top + row * (n + 0.5);
    const there = MARKS.map(([at_]) => x(Math.max(least, one.kl_percentiles[at_])));
    drawing.append(label(left - 10, y + 4, one.short, { "text-anchor": "end", class: "beside" }),
      line(Math.min(...there), y, Math.max(...there), y, "from-to"));
    MARKS.forEach(([at_, text], k) => {
      const lines = () => [one.model, `${text}: ${small(one.kl_percentiles[at_])}`];
      drawing.append(hint(svg("circle", { cx: there[k], cy: y, r: 5, class: `mark dot p${at_}`,
        "aria-label": lines().join(", ") }), lines));
    });
  });
  return roving(drawing);
}
