// What plots are made of: axes, keys, and what is said of a mark that is pointed at.

const NICE_SECONDS = [0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2,
  0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 18000, 36000, 86400, 172800,
  432000, 864000];

const tickSeconds = (s) => (s < 1 ? `${Number((s * 1000).toPrecision(3))} ms` : s < 60 ? `${s} s`
  : s < 3600 ? `${s / 60} min` : s < 86400 ? `${s / 3600} h` : `${s / 86400} d`);

/** Steps of 1, 2 or 5 from 0 to `most`, at most so many. */
function linearTicks(most, count) {
  const rough = most / count, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((n) => n * power >= rough) * power;
  return Array.from({ length: Math.floor(most / step + 1e-9) + 1 }, (_, n) => n * step);
}

/** The multiples of such a step from `low` to `high`. */
function ticksBetween(low, high, count) {
  const step = linearTicks(high - low, count)[1] ?? high - low;
  const first = Math.ceil(low / step - 1e-9);
  return Array.from({ length: Math.floor(high / step + 1e-9) - first + 1 },
    (_, n) => (first + n) * step);
}

const scale = (low, high, from, to) => (value) =>
  from + (to - from) * (value - low) / (high - low);
const logScale = (low, high, from, to) => {
  const linear = scale(Math.log(low), Math.log(high), from, to);
  return (value) => linear(Math.log(value));
};

const label = (x, y, text, properties = {}) => svg("text", { x, y, ...properties }, text);
const line = (x1, y1, x2, y2, name) => svg("line", { x1, y1, x2, y2, class: name });

const pathOf = (points) => points
  .map(([x, y], n) => `${n ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");

const drawingOf = (width, height, name) => svg("svg", { viewBox: `0 0 ${width} ${height}`, width,
  height, role: "group", "aria-label": name });

/** Grid, ticks and names. An axis has `at` (value to pixels), `ticks`, `text` and `name`; ticks of
 * x that would touch are left out. Rows of bars have no axis y. */
function drawAxes(drawing, { left, right, top, bottom }, x, y) {
  for (const tick of y?.ticks ?? []) {
    drawing.append(line(left, y.at(tick), right, y.at(tick), "grid"),
      label(left - 8, y.at(tick) + 4, y.text(tick), { "text-anchor": "end" }));
  }
  let last = -Infinity;
  for (const tick of x.ticks) {
    if (x.at(tick) - last < (x.apart ?? 44)) continue;
    last = x.at(tick);
    drawing.append(line(last, top, last, bottom, "grid"),
      label(last, bottom + 17, x.text(tick), { "text-anchor": "middle" }));
  }
  drawing.append(label((left + right) / 2, bottom + 38, x.name,
    { "text-anchor": "middle", class: "name" }));
  if (!y) return;
  const middle = (top + (y.floor ?? bottom)) / 2;
  drawing.append(line(left, bottom, right, bottom, "axis"),
    label(12, middle, y.name, { "text-anchor": "middle", class: "name",
      transform: `rotate(-90 12 ${middle})` }));
}

/** Between a figure's paddings. */
const widthOf = (holder) => Math.max(240, holder.clientWidth - 34);

/** A figure's heading, its keys, its drawing and a line under it; choices beside the heading. */
function fill(holder, title, keys, drawing, note, choices = []) {
  const head = el("figcaption", {}, el("h2", {}, title), choices,
    el("p", { class: "keys" }, keys));
  holder.replaceChildren(head);
  const hint = tipOf(holder);
  holder.append(drawing(hint), el("p", { class: "quiet note" }, note));
}

/** Stands where a drawing would, and says why there is none. */
const noneOf = (text) => el("p", { class: "none" }, text);

const key = (name, text) => el("span", { class: `key ${name}` }, text);

/** One of a few, as buttons in a row; arrow keys move between them. `choose` draws anew. */
function oneOf(name, title, choices, chosen, choose) {
  return el("fieldset", { class: "one-of" }, el("legend", {}, title),
    choices.map(([value, text]) => el("label", {},
      el("input", { type: "radio", name, value, checked: value === chosen, onchange: () => {
        choose(value);
        document.querySelector(`input[name="${name}"]:checked`)?.focus();
      } }), el("span", {}, text))));
}

/** A form for each series, besides its colour: the outline of its mark around a point. */
function shapeAt(n, x, y, radius) {
  const [corners, turn, size, inner] = [
    [24, 0, 1, 1], [4, 45, 1.25, 1], [3, -90, 1.4, 1], [4, 0, 1.4, 1],
    [3, 90, 1.4, 1], [5, -90, 1.5, 0.45], [6, 0, 1.15, 1], [4, 45, 1.55, 0.35],
  ][n % 8];
  const steps = inner === 1 ? corners : corners * 2;
  const points = Array.from({ length: steps }, (_, k) => {
    const angle = (turn + 360 * k / steps) * Math.PI / 180;
    const far = radius * size * (k % 2 ? inner : 1);
    return `${(x + far * Math.cos(angle)).toFixed(1)} ${(y + far * Math.sin(angle)).toFixed(1)}`;
  });
  return `M${points.join("L")}Z`;
}

/** A series' mark, as text has it: a series has `shape`, a number, and `colour`, a class. */
const markOf = (series) => {
  const small = svg("svg", { viewBox: "-8 -8 16 16", width: 14, height: 14, class: "sign" });
  small.setAttribute("aria-hidden", "true");
  small.append(svg("path", { d: shapeAt(series.shape, 0, 0, 5), class: `dot ${series.colour}` }));
  return small;
};

/** Those that no other one beats in both, the least cost first: the Pareto front. Equal ones are
 * all on it, or none. */
function undominated(items, cost, gain) {
  let last = null;
  return [...items].sort((a, b) => cost(a) - cost(b) || gain(b) - gain(a)).filter((item) => {
    const isEqual = last && cost(item) === cost(last) && gain(item) === gain(last);
    if (last && gain(item) <= gain(last) && !isEqual) return false;
    last = item;
    return true;
  });
}

/** A name beside its mark, where none of `taken` stands already; null where there is no room. */
function labelBeside(text, cx, cy, box, taken, name = "beside") {
  const wide = textWidth(text, "11.5px");
  const places = [[9, -7], [9, 4], [9, 16], [-9 - wide, -7], [-9 - wide, 4], [-9 - wide, 16]];
  for (const [dx, dy] of places) {
    const at = { left: cx + dx, right: cx + dx + wide, top: cy + dy - 10, bottom: cy + dy + 2 };
    if (at.left < box.left || at.right > box.right || at.top < box.top - 8) continue;
    if (taken.some((other) => at.left < other.right && other.left < at.right
      && at.top < other.bottom && other.top < at.bottom)) continue;
    taken.push(at);
    return label(at.left, cy + dy, text, { class: name });
  }
  return null;
}

/** The marks of a drawing are one stop for the tab key; arrows go from one to the next. */
function roving(drawing) {
  const marks = [...drawing.querySelectorAll(".mark")];
  marks.forEach((mark, n) => {
    mark.setAttribute("tabindex", n ? -1 : 0);
    mark.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (!step) return;
      event.preventDefault();
      mark.setAttribute("tabindex", -1);
      const next = marks[(n + step + marks.length) % marks.length];
      next.setAttribute("tabindex", 0);
      next.focus({ preventScroll: true });
    });
  });
  return drawing;
}

/** How wide a text will be in a plot, in pixels. */
function textWidth(text, font) {
  const pen = document.createElement("canvas").getContext("2d");
  pen.font = `${font} ${getComputedStyle(document.body).fontFamily}`;
  return pen.measureText(text).width;
}

/** Makes a mark one that a click, Enter or the space bar chooses. */
const chosenBy = (react) => ({ role: "button", onclick: react, onkeydown: (event) => {
  if (event.key !== "Enter" && event.key !== " ") return;
  event.preventDefault(); // or the button that gets the focus would be pressed as well
  react();
} });

/** What is pointed at or focused in a figure, said beside it. */
function tipOf(holder) {
  const tip = el("div", { class: "tip", role: "status", hidden: true });
  holder.append(tip);
  const show = (mark, lines) => {
    tip.replaceChildren(...lines.map((line, n) => el(n ? "div" : "strong", {}, line)));
    tip.hidden = false;
    const room = holder.getBoundingClientRect(), box = mark.getBoundingClientRect();
    const left = box.left + box.width / 2 - room.left - tip.offsetWidth / 2;
    const above = box.top - room.top - tip.offsetHeight - 8;
    tip.style.left = `${Math.max(4, Math.min(left, room.width - tip.offsetWidth - 4))}px`;
    tip.style.top = `${above < 0 ? box.bottom - room.top + 8 : above}px`;
  };
  return (mark, lines) => {
    const on = (names, react) => names.forEach((name) => mark.addEventListener(name, react));
    on(["pointerenter", "focus"], () => show(mark, lines()));
    on(["pointerleave", "blur"], () => { tip.hidden = true; });
    return mark;
  };
}

/** Plots are drawn for the width there is. */
function onNewWidth(redraw) {
  let width = innerWidth;
  addEventListener("resize", () => {
    if (innerWidth !== width) redraw();
    width = innerWidth;
  });
}
