// What each result keeps of the baseline's score: paired differences, drawn around zero.

const FOREST = { width: 170, height: 26 };

/** A difference and its interval on the axis that all rows share; the line is no difference. */
function forest(one, most) {
  const x = scale(-most, most, 6, FOREST.width - 6), y = FOREST.height / 2;
  const drawing = svg("svg", { viewBox: `0 0 ${FOREST.width} ${FOREST.height}`,
    width: FOREST.width, height: FOREST.height, "aria-hidden": true,
    class: `forest ${seriesOf(resultOf(one.b))?.colour ?? "series0"}` });
  drawing.append(line(x(0), 0, x(0), FOREST.height, "axis"),
    line(x(one.low), y, x(one.high), y, "whisker"),
    svg("path", { d: shapeAt(seriesOf(resultOf(one.b))?.shape ?? 0, x(one.difference), y, 4.5),
      class: "dot", "data-x": x(one.difference).toFixed(1) }));
  return drawing;
}

const meaning = (one) => (one.high < 0 ? "worse" : one.low > 0 ? "better" : "same");

function drawRecovery() {
  const own = COMPARISONS.filter((one) => one.task === state.task);
  at("recovery").hidden = !own.length;
  if (!own.length) return;
  const place = new Map(byBits(RESULTS).map((one, n) => [one.label, n]));
  own.sort((a, b) => (place.get(a.b) ?? Infinity) - (place.get(b.b) ?? Infinity));
  const bases = [...new Set(own.map((one) => one.a))];
  const most = Math.max(...own.flatMap((one) => [one.low, one.high, one.difference])
    .filter(isNumber).map(Math.abs)) * 1.05 || 1;
  const head = [["Result"], bases.length > 1 ? ["against"] : null, ["difference", "points"],
    ["interval", "95 %"], [""], ["kept", "%"], ["interval", "95 %"], ["What that says"],
    hasPairs ? [""] : null].filter(Boolean);
  at("recovery").replaceChildren(
    el("div", { class: "over-table" }, el("h2", {}, bases.length > 1 ? "Kept"
      : `Kept of ${bases[0]}'s score`), el("output", {}, `${titleOf(state.task)}, `
      + pairedCount(own))),
    el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Recovery" },
      el("table", { class: "rows" },
        el("thead", {}, el("tr", {}, head.map(([name, unit]) =>
          el("th", { scope: "col", class: unit ? "number" : null }, name,
            unit ? el("span", { class: "unit" }, unit) : null)))),
        el("tbody", {}, own.map((one) => recoveryRow(one, most, bases.length > 1))))));
}

/** What was paired: of results that can't be compared, few questions may be the same, or none. */
function pairedCount(own) {
  const paired = own.filter((one) => isNumber(one.difference));
  if (!paired.length) return "not comparable";
  const apart = own.length - paired.length;
  return `the same ${span(paired.map((one) => one.questions), "question")} in pairs`
    + (apart ? `, ${tokens(apart)} not comparable` : "");
}

function recoveryRow(one, most, namesBase) {
  const number = (text, name = "") => el("td", { class: `number ${name}` }, text);
  const isDrawn = [one.low, one.high, one.difference].every(isNumber), result = resultOf(one.b);
  return el("tr", { "data-b": one.b },
    el("th", { scope: "row", title: one.b }, named(result, one.b)),
    namesBase ? el("td", {}, one.a) : null,
    number(points(one.difference), "strong"), number(from_to(points, one.low, one.high), "quiet"),
    el("td", {}, isDrawn ? forest(one, most) : BLANK),
    number(share(one.recovery), "strong"),
    number(from_to(share, one.recovery_low, one.recovery_high), "quiet"),
    el("td", { class: `verdict ${meaning(one)}` }, one.verdict ? sentence(one.verdict) : BLANK),
    hasPairs ? el("td", {}, el("button", { type: "button", class: "small",
      onclick: () => reader.compare(one.a, one.b, one.task) }, "What changed")) : null);
}
