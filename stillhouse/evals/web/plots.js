// The plots of one task: scores with their intervals, what became of the samples, costs, budgets.

const ROW = 30;
const namesWidth = (results, width) => Math.min(width * 0.42,
  Math.max(...results.map((one) => textWidth(shortOf(one.label), "12px"))) + 20);

/** A row for each result, with the most bits above; the band is the baseline's interval. */
function drawAccuracy(holder) {
  const shown = scored(), base = baselineOf(state.task);
  const band = base && interval(base, state.task);
  const chance = shown[0]?.tasks[state.task].chance ?? 0;
  const range = shown.length ? scoreRange(shown) : [0, 1];
  const isNear = chance > 0 && chance > range[0] - (range[1] - range[0]) / 2;
  if (isNear) {
    range[0] = Math.min(range[0], Math.max(0, chance - 0.01));
    range[1] = Math.max(range[1], Math.min(1, chance + 0.01));
  }
  const keys = [band ? key("band", `interval of ${shortOf(base.label)}`) : null,
    isNear ? key("dashes", `guessing, ${share(chance)} %`) : null].filter(Boolean);
  fill(holder, "Accuracy", keys, (hint) => {
    if (!shown.length) return noneOf("No sample was graded.");
    const width = widthOf(holder), left = namesWidth(shown, width), top = 6;
    const box = { left, right: width - 20, top, bottom: top + ROW * shown.length };
    const x = { at: scale(...range, box.left, box.right), text: percentTick, name: "pass@1",
      ticks: ticksBetween(...range, width < 420 ? 4 : 6) };
    const drawing = drawingOf(width, box.bottom + 46, "Accuracy with intervals");
    if (band) {
      drawing.append(svg("rect", { x: x.at(band[0]), width: x.at(band[1]) - x.at(band[0]), y: top,
        height: box.bottom - top, class: `band-of ${seriesOf(base).colour}` }));
    }
    drawAxes(drawing, box, x, null);
    if (isNear) drawing.append(line(x.at(chance), top, x.at(chance), box.bottom, "axis faint"));
    shown.forEach((one, n) => {
      const y = top + ROW * (n + 0.5), cx = x.at(score(one, state.task));
      const ends = interval(one, state.task), series = seriesOf(one);
      const lines = () => [...scoreLines(one), isNumber(one.bits_per_weight)
        ? `${one.bits_per_weight.toFixed(2)} bits a weight` : null].filter(Boolean);
      const group = svg("g", { class: series.colour });
      if (ends) group.append(line(x.at(ends[0]), y, x.at(ends[1]), y, "whisker"));
      group.append(hint(svg("path", { ...chosenBy(() => openRow(one)), class: "mark dot",
        d: shapeAt(series.shape, cx, y, 5.5), "data-n": one.n, "data-x": cx.toFixed(1),
        "data-y": y.toFixed(1), "aria-label": lines().join("; ") }), lines));
      drawing.append(label(left - 10, y + 4, shortOf(one.label), { "text-anchor": "end",
        class: "beside" }), group);
    });
    return roving(drawing);
  }, ["To the right is better. Intervals of 95 %; two that overlap may differ all the same: see"
    + " the pairs above.", beginsAt(range)].filter(Boolean).join(" "));
}

/** A bar for each result, of all its samples. A part leads to the samples that it stands for. */
function drawOutcomes(holder) {
  const shown = byBits(shownResults()).map((one) => ({ one,
    parts: VERDICT_NAMES.map((name) => [name, one.tasks[state.task][name] ?? 0]) }));
  const there = VERDICT_NAMES.filter((name) => shown.some(({ parts }) =>
    parts.some(([own, count]) => own === name && count)));
  const keys = there.map((name) => key(`part ${name}`, VERDICTS[name].name));
  fill(holder, "What became of the samples", keys, (hint) => {
    if (!there.length) return noneOf("There are no samples.");
    const width = widthOf(holder), left = namesWidth(shown.map(({ one }) => one), width), top = 6;
    const box = { left, right: width - 20, top, bottom: top + ROW * shown.length };
    const drawing = drawingOf(width, box.bottom + 46, "What became of the samples");
    const x = { at: scale(0, 1, box.left, box.right), ticks: [0, 0.25, 0.5, 0.75, 1],
      text: percentTick, name: "of samples" };
    drawAxes(drawing, box, x, null);
    shown.forEach(({ one, parts }, n) => {
      const total = parts.reduce((sum, [, count]) => sum + count, 0), y = top + ROW * n;
      drawing.append(label(left - 10, y + ROW / 2 + 4, shortOf(one.label),
        { "text-anchor": "end", class: "beside" }));
      let before = 0;
      for (const [name, count] of parts.filter(([, own]) => own)) {
        drawing.append(outcome(one, name, count, { total, y, hint,
          from: x.at(before / total), to: x.at((before + count) / total) }));
        before += count;
      }
    });
    return roving(drawing);
  }, SAMPLES.length ? "Choose a part to read its samples." : "No answer: none that could be read.");
}

function outcome(one, name, count, { total, y, hint, from, to }) {
  const lines = () => [`${one.label}: ${VERDICTS[name].name}`,
    `${tokens(count)} of ${tokens(total)}, ${share(count / total)} %`];
  const group = svg("g", { ...chosenBy(() => reader.find(one.label, name)), "data-n": one.n,
    "data-verdict": name, class: `mark part ${name}`, "aria-label": lines().join("; ") });
  group.append(svg("rect", { x: from, y: y + 4, width: to - from, height: ROW - 8 }));
  const text = tokens(count);
  if (to - from > textWidth(text, "11px") + 8) {
    group.append(label((from + to) / 2, y + ROW / 2 + 4, text, { "text-anchor": "middle" }));
  }
  return hint(group, lines);
}

function drawBits(holder) {
  drawAgainst(holder, { get: (one) => one.bits_per_weight, less: true, axis: "bits a weight",
    title: "Accuracy against bits", none: "Bits a weight are not known: servers do not say.",
    say: (one) => `${one.bits_per_weight.toFixed(2)} bits a weight`
      + (isNumber(one.file_bytes) ? `, ${bytesText(one.file_bytes)}` : "") });
}

/** Seconds for one sample, right or not, as if samples followed each other. */
function secondsASample(one) {
  const figures = one.tasks[state.task];
  return isNumber(figures.seconds_per_correct)
    ? figures.seconds_per_correct * figures.right / samplesOf(figures) : null;
}

function drawSpeed(holder) {
  const isWait = ui.speed === "seconds";
  const choices = oneOf("speed", "Speed", [["tokens", "tok/s"], ["seconds", "s a sample"]],
    ui.speed, ui.choose("speed"));
  const none = "How fast it was is not known.";
  drawAgainst(holder, isWait ? { get: secondsASample, less: true, none,
    axis: "seconds a sample, many at once", title: "Accuracy against speed",
    say: (one) => `${significant(secondsASample(one))} s a sample` }
    : { get: (one) => one.output_tokens_per_s, less: false, none,
      axis: "output tok/s, all together", title: "Accuracy against speed",
      say: (one) => `${figure(one.output_tokens_per_s)} tok/s` },
  [choices]);
}
