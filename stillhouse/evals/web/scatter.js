// Scores as points: the axis of scores, marks with whiskers, and what a cost buys.

const PLOT_HEIGHT = 300;
const boxOf = (width) => ({ left: 60, right: width - 16, top: 14, bottom: PLOT_HEIGHT - 46 });

const scored = () => byBits(shownResults()).filter((one) => isNumber(score(one, state.task)));

/** Scores with their intervals, with some room; never less than 5 points, never outside 0 to 1. */
function scoreRange(results) {
  const all = results.flatMap((one) => [score(one, state.task), ...(interval(one, state.task)
    ?? [])]).filter(isNumber);
  const middle = (Math.min(...all) + Math.max(...all)) / 2;
  const half = Math.max((Math.max(...all) - Math.min(...all)) * 0.57, 0.025);
  return [Math.max(0, middle - half), Math.min(1, middle + half)];
}
const percentTick = (tick) => `${Number((tick * 100).toFixed(1))}\u00a0%`;
const beginsAt = ([low]) => (low > 0 ? `The axis begins at ${percentTick(low)}.` : "");

function scoreAxis(results, { top, bottom }) {
  const range = scoreRange(results);
  return { at: scale(...range, bottom, top), ticks: ticksBetween(...range, 5), text: percentTick,
    name: "pass@1", range };
}

const scoreLines = (one) => [one.label, `pass@1 ${share(score(one, state.task))} %, `
  + `${from_to(share, ...(interval(one, state.task) ?? []))} %`];

/** A result's mark with its whisker up and down. */
function scoreMark(one, cx, y, hint, lines) {
  const series = seriesOf(one), range = interval(one, state.task);
  const cy = y.at(score(one, state.task));
  const all = () => [...scoreLines(one), ...lines()];
  const group = svg("g", { class: series.colour });
  if (range) group.append(line(cx, y.at(range[0]), cx, y.at(range[1]), "whisker"));
  group.append(hint(svg("path", { ...chosenBy(() => openRow(one)),
    d: shapeAt(series.shape, cx, cy, 5.5), class: "mark dot", "data-n": one.n,
    "data-x": cx.toFixed(1), "data-y": cy.toFixed(1), "aria-label": all().join("; ") }), all));
  return group;
}

/** Scores against a cost, with the Pareto front; `about` has `get`, `less` (less is better), `axis`
 * (its name), `title`, `say` and `none`. */
function drawAgainst(holder, about, choices = []) {
  const { get, less, axis, title, say, none } = about;
  const shown = scored().filter((one) => isNumber(get(one)));
  const unknown = shownResults().length - shown.length;
  const range = shown.length ? scoreRange(shown) : [0, 1];
  const note = [`Up and to the ${less ? "left" : "right"} is better.`, beginsAt(range),
    shown.length && unknown ? `Not shown: ${unknown}, of which this is not known.` : ""]
    .filter(Boolean).join(" ");
  const keys = [key("dashes", "Pareto front: nothing is better in both")];
  fill(holder, title, shown.length ? keys : [], (hint) => {
    if (!shown.length) return noneOf(none);
    const width = widthOf(holder), box = boxOf(width), y = scoreAxis(shown, box);
    const values = shown.map(get), span = Math.max(...values) - Math.min(...values);
    const room = Math.max(span * 0.12, Math.max(...values) * 0.04);
    const low = Math.max(0, Math.min(...values) - room), high = Math.max(...values) + room;
    const x = { at: scale(low, high, box.left, box.right), name: axis,
      ticks: ticksBetween(low, high, width < 420 ? 4 : 7),
      text: (tick) => Number(tick.toPrecision(6)).toLocaleString("en") };
    const drawing = drawingOf(width, PLOT_HEIGHT, title);
    drawAxes(drawing, box, x, y);
    const front = undominated(shown, less ? get : (one) => -get(one),
      (one) => score(one, state.task));
    const there = (one) => [x.at(get(one)), y.at(score(one, state.task))];
    drawing.append(svg("path", { class: "frontier", d: stepsOf(front.map(there)) }));
    for (const one of shown) {
      drawing.append(scoreMark(one, x.at(get(one)), y, hint, () => [say(one),
        front.includes(one) ? "on the Pareto front" : null].filter(Boolean)));
    }
    const taken = shown.map(there).map(([cx, cy]) => ({ left: cx - 6, right: cx + 6, top: cy - 6,
      bottom: cy + 6 }));
    for (const one of [...front, ...shown.filter((other) => !front.includes(other))]) {
      const name = labelBeside(shortOf(one.label), ...there(one), box, taken,
        front.includes(one) ? "beside best" : "beside");
      if (name) drawing.append(name);
    }
    return roving(drawing);
  }, note, choices);
}

/** Along the front: nothing is better until the next one's cost is paid. */
const stepsOf = (places) => places.map(([x, y], n) => (n
  ? `H${x.toFixed(1)}V${y.toFixed(1)}` : `M${x.toFixed(1)} ${y.toFixed(1)}`)).join("");
