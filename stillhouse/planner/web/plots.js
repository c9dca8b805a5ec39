// The two plots and the heat map, drawn anew for the width there is and the options shown.

const MOST_BARS = 24;
const PARTS = ["weights", "KV cache", "buffers", "rest"];
const VERDICTS = { fits: "fits", marginal: "marginal", does_not_fit: "does not fit" };
const verdictMark = (verdict) =>
  el("span", { class: `verdict ${verdict}` }, VERDICTS[verdict] ?? verdict);

const partClass = (name) => `part${PARTS.indexOf(partOf(name))}`;

function partOf(name) {
  if (name === "weights" || name === "KV cache") return name;
  return name.includes("buffer") ? "buffers" : "rest";
}

/** Expected score against time to the answer: up and to the left is better. */
function drawScatter(holder, shown, plan, open) {
  const running = shown.filter((o) => isNumber(o.time_to_answer_s));
  const groups = new Map(running.map((o) => [plan.groupOf(o), plan.colourOf(o)]));
  const keys = [...groups].map(([name, colour]) => key(colour, name));
  const marginal = running.some((o) => o.verdict === "marginal");
  if (marginal) keys.push(key("hollow", "marginal"));
  const unscored = running.filter((o) => !isNumber(o.quality.aime_2024));
  const note = "Up and to the left is better. Along the line, nothing faster scores more."
    + (unscored.length ? " Below: nobody has published a score." : "");
  fill(holder, "Score against time", keys, (hint) => {
    if (!running.length) return el("p", { class: "none" }, "Nothing of what is shown runs here.");
    return scatter(widthOf(holder), running, plan, open, hint);
  }, note);
}

function scatter(width, running, plan, open, hint) {
  const height = Math.max(280, Math.min(400, width * 0.66));
  const left = 44, right = width - 14, top = 26;
  const scored = running.filter((o) => isNumber(o.quality.aime_2024));
  const bottom = height - 46, strip = scored.length < running.length ? 26 : 0;
  const floor = bottom - strip, times = running.map((o) => o.time_to_answer_s);
  const low = Math.min(...times) * 0.85, high = Math.max(...times) * 1.18;
  const x = logScale(low, high, left, right);
  const scores = scored.map((o) => o.quality.aime_2024 * 100);
  const least = Math.max(0, Math.floor(Math.min(...scores, 90) / 10) * 10 - 5);
  const most = Math.min(100, Math.ceil(Math.max(...scores, least + 10) / 10) * 10 + 2);
  const y = (o) => (isNumber(o.quality.aime_2024)
    ? floor - 8 - (floor - 8 - top) * (o.quality.aime_2024 * 100 - least) / (most - least)
    : bottom - strip / 2);
  const drawing = drawingOf(width, height, "Expected AIME 2024 against time to the answer");
  const tens = Array.from({ length: 11 }, (_, n) => n * 10)
    .filter((tick) => tick >= least && tick <= most);
  drawAxes(drawing, { left, right, top, bottom }, {
    at: x, ticks: NICE_SECONDS.filter((s) => s >= low && s <= high), text: tickSeconds,
    name: "time to the answer (log)",
  }, {
    at: (tick) => y({ quality: { aime_2024: tick / 100 } }), ticks: tens, text: String,
    name: "expected AIME 2024, %", floor,
  });
  if (strip) {
    drawing.append(line(left, floor, right, floor, "axis faint"),
      label(left - 8, bottom - strip / 2 + 4, "none", { "text-anchor": "end" }));
  }
  drawing.append(svg("path", { class: "frontier", d: frontier(scored, x, y) }));
  const place = (o) => `${Math.round(x(o.time_to_answer_s))} ${Math.round(y(o))}`;
  const inOrder = [...running].sort((a, b) => plan.isBest(a) - plan.isBest(b));
  for (const o of inOrder) {
    const cx = x(o.time_to_answer_s), cy = y(o), best = plan.isBest(o);
    const name = plan.nameOf(o);
    const mark = svg("circle", { cx, cy, r: best ? 7 : 5, tabindex: 0, ...chosenBy(() => open(o)),
      class: `mark dot ${plan.colourOf(o)} ${o.verdict}${best ? " best" : ""}`,
      "aria-label": `${name}: ${seconds(o.time_to_answer_s)} to the answer, AIME 2024 `
        + `${isNumber(o.quality.aime_2024) ? `${percent(o.quality.aime_2024)} %` : "unknown"}` });
    if (best) drawing.append(svg("circle", { cx, cy, r: 11, class: "ring" }));
    drawing.append(hint(mark, () => [
      ...running.filter((other) => place(other) === place(o)).map(plan.nameOf),
      `${seconds(o.time_to_answer_s)} to the answer, ${figure(plan.each(o))} tok/s`,
      `AIME 2024: ${isNumber(o.quality.aime_2024) ? `${percent(o.quality.aime_2024)} %` : BLANK}`,
    ]));
    if (best) {
      const text = `★ ${plan.shortName(o)}`, half = textWidth(text, "650 12px") / 2;
      drawing.append(label(Math.max(left + half, Math.min(cx, right - half)), cy - 16, text,
        { class: "callout", "text-anchor": "middle" }));
    }
  }
  return drawing;
}

/** Steps along the options that nothing faster outscores. */
function frontier(scored, x, y) {
  let best = -1, path = "";
  const order = (a, b) => a.time_to_answer_s - b.time_to_answer_s
    || b.quality.aime_2024 - a.quality.aime_2024;
  for (const o of [...scored].sort(order)) {
    if (o.quality.aime_2024 <= best) continue;
    best = o.quality.aime_2024;
    const there = x(o.time_to_answer_s).toFixed(1), up = y(o).toFixed(1);
    path += path ? `H${there}V${up}` : `M${there} ${up}`;
  }
  return path;
}

/** Memory of each option, stacked, against what its system has. */
function drawBars(holder, shown, plan, open) {
  const drawn = shown.slice(0, MOST_BARS);
  const keys = PARTS.map((name, n) => key(`part${n}`, name));
  keys.push(key("limit", "what the system has"));
  const note = shown.length > MOST_BARS
    ? `The first ${MOST_BARS} of ${shown.length}, in the table's order; filter or sort for others.`
    : "In the table's order.";
  fill(holder, "Memory", keys, (hint) => {
    if (!drawn.length) return el("p", { class: "none" }, "Nothing is shown.");
    return bars(widthOf(holder), drawn, plan, open, hint);
  }, note);
}

function bars(width, drawn, plan, open, hint) {
  const names = drawn.map((o) => plan.shortName(o));
  const longest = Math.max(...names.map((name) => textWidth(`★ ${name}`, "650 11px"))) + 10;
  const above = longest > width * 0.42; // names over their bars where it is narrow
  const row = above ? 30 : 17, left = above ? 6 : longest, right = width - 14, top = 4;
  const bottom = top + row * drawn.length, height = bottom + 44;
  const limits = drawn.map((o) => plan.capacity(o));
  const most = Math.max(...drawn.map((o) => o.memory.bytes), ...limits.filter(isNumber)) * 1.04;
  const x = scale(0, most, left, right);
  const drawing = drawingOf(width, height, "Memory of each option");
  drawAxes(drawing, { left, right, top, bottom }, {
    at: (tick) => x(tick * 1e9), ticks: linearTicks(most / 1e9, Math.max(3, (right - left) / 50)),
    text: tokens, name: "memory, GB", apart: 0,
  });
  drawn.forEach((o, n) => {
    const y = top + n * row, thick = 11, start = y + (above ? 16 : 3);
    const group = svg("g", { class: `mark bar ${o.verdict}`, tabindex: 0,
      ...chosenBy(() => open(o)),
      "aria-label": `${plan.nameOf(o)}: ${bytesText(o.memory.bytes)}, ${VERDICTS[o.verdict]}` });
    group.append(svg("rect", { x: 0, y, width, height: row, class: "catch" }));
    group.append(label(above ? left : left - 8, above ? y + 12 : y + 12.5,
      `${plan.isBest(o) ? "★ " : ""}${names[n]}`,
      { "text-anchor": above ? "start" : "end", class: plan.isBest(o) ? "callout" : null }));
    let from = 0;
    for (const part of PARTS) {
      const size = (o.memory.parts ?? []).filter((p) => partOf(p.name) === part)
        .reduce((sum, p) => sum + p.bytes, 0);
      if (!size) continue;
      group.append(svg("rect", { class: partClass(part), x: x(from), y: start, height: thick,
        width: Math.max(0.5, x(from + size) - x(from)) }));
      from += size;
    }
    const limit = limits[n];
    if (isNumber(limit)) group.append(line(x(limit), y, x(limit), y + row, "limit"));
    drawing.append(hint(group, () => [plan.nameOf(o), VERDICTS[o.verdict], o.reason,
      ...(o.memory.parts ?? []).map((p) => `${p.name}: ${bytesText(p.bytes)}`)]));
  });
  return drawing;
}

/** Quantisations of each model against systems, with tokens a second in each cell. */
function drawHeat(holder, shown, plan, open) {
  const devices = plan.deviceNames.filter((name) => shown.some((o) => o.device === name));
  const bySize = [...shown].sort((a, b) => b.file_bytes - a.file_bytes);
  const rows = new Map();
  for (const o of bySize) {
    const name = (plan.titles.length > 1 ? `${shortTitle(o.title)} ` : "") + o.quantization;
    if (!rows.has(name)) rows.set(name, new Map());
    if (!rows.get(name).has(o.device)) rows.get(name).set(o.device, o);
  }
  const cell = (o) => {
    if (!o) return el("td", {}, BLANK);
    const text = o.verdict === "does_not_fit" ? "✕" : figure(plan.each(o));
    const say = `${plan.nameOf(o)}: ${VERDICTS[o.verdict]}, ${o.reason}`;
    const button = el("button", { type: "button", title: say, "aria-label": `${text}, ${say}`,
      onclick: () => open(o) }, `${plan.isBest(o) ? "★ " : ""}${text}`);
    return el("td", { class: `heat ${o.verdict}` }, button);
  };
  const head = el("tr", {}, el("th", { scope: "col" }, "Quantisation"),
    devices.map((name) => el("th", { scope: "col" }, name)));
  const body = [...rows].map(([name, found]) => el("tr", {}, el("th", { scope: "row" }, name),
    devices.map((device) => cell(found.get(device)))));
  const keys = Object.entries(VERDICTS).map(([verdict]) => verdictMark(verdict));
  fill(holder, `Where it runs: tok/s${plan.users > 1 ? " of each user" : ""}`, keys,
    () => el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Systems" },
      el("table", {}, el("thead", {}, head), el("tbody", {}, body))),
    "✕ does not fit. Click a cell for its memory and speed.");
}
