// What stands before the plots: the best figures of a view, the machine, limits found, comparisons.

const KEPT_SHARE = 0.95; // of requests within the SLO: then a load counts as kept

const least = (items, get) => items.filter((item) => isNumber(get(item)))
  .sort((a, b) => get(a) - get(b))[0];
const greatest = (items, get) => least(items, (item) => {
  const value = get(item);
  return isNumber(value) ? -value : value;
});
const ofCell = (cell) => `${SERIES.length > 1 ? `${seriesName(cell)}, ` : ""}${loadName(cell)}`;
const bestOf = (cells) => greatest(cells.filter((cell) => cell.requests),
  (cell) => cell.output_tokens_per_s);

function drawHead(view, cells) {
  at("title").textContent = `Benchmark: ${[...new Set(CELLS.map((cell) => cell.model))].join(", ")
    || "no results"}`;
  at("head").replaceChildren(summary(view, cells),
    el("div", { class: "card facts" }, machineFacts(), el("h2", {}, "Workload"),
      workloadFacts(view)));
}

function summary(view, cells) {
  const completed = cells.filter((cell) => cell.requests);
  const best = bestOf(cells);
  const failed = cells.reduce((sum, cell) => sum + cell.errors, 0);
  const about = [
    failed ? el("p", { class: "trouble" },
      `✕ ${tokens(failed)} requests failed: see the marked rows.`) : null,
    (DOCUMENT.notes ?? []).length ? el("ul", { class: "notes quiet" },
      DOCUMENT.notes.map((text) => el("li", {}, sentence(text)))) : null,
  ].filter(Boolean);
  if (!best) {
    return el("div", { class: "card pick" }, el("p", { class: "over" }, view?.name ?? "Benchmark"),
      el("h2", {}, CELLS.length ? "No request was completed" : "Nothing was measured"), about);
  }
  const answered = least(completed, (cell) => cell.ttfat_s?.p50);
  const soonest = answered ?? least(completed, (cell) => cell.ttft_s?.p50);
  const wait = answered ? "ttfat_s" : "ttft_s";
  const nearest = greatest(completed, (cell) => cell.roofline_share);
  const good = greatest(completed, (cell) => cell.goodput_per_s);
  const stats = [
    stat(figure(best.output_tokens_per_s), " tok/s", `most output: ${ofCell(best)}`),
    soonest ? stat(duration(soonest[wait].p50), "",
      `soonest ${answered ? "answer" : "token"}: ${ofCell(soonest)}`) : null,
    nearest ? stat(percent(nearest.roofline_share), " %", `of the roofline: ${ofCell(nearest)}`)
      : null,
    good?.goodput_per_s > 0 ? stat(significant(good.goodput_per_s), " req/s",
      `within the SLO: ${ofCell(good)}`) : null,
  ];
  const more = [
    best.users > 1 && isNumber(best.user_tokens_per_s)
      ? `Each of the ${loadName(best)} reads ${figure(best.user_tokens_per_s)} tok/s.` : null,
    keptSentence(view, cells),
  ].filter(Boolean).join(" ");
  return el("div", { class: "card pick" }, el("p", { class: "over" }, view.name),
    el("h2", { class: "headline" }, headline(best)), el("div", { class: "stats" }, stats),
    more ? el("p", {}, more) : null, about);
}

const headline = (best) => `${seriesName(best)} writes most: ${figure(best.output_tokens_per_s)}`
  + ` tok/s with ${loadName(best)}` + (isNumber(best.roofline_share)
  ? `, ${wholePercent(best.roofline_share)} of what this machine allows` : "");

/** The highest load up to which the SLO was kept, of the series that keeps it longest. */
function keptSentence(view, cells) {
  if (!DOCUMENT.slo || !cells.some((cell) => isNumber(cell.goodput_share))) return "";
  const kept = bySeries(cells).map(([, own]) => {
    const broken = own.findIndex((cell) => !(cell.goodput_share >= KEPT_SHARE));
    return own[(broken < 0 ? own.length : broken) - 1];
  }).filter(Boolean);
  const furthest = greatest(kept, loadOf);
  const promise = `${wholePercent(KEPT_SHARE)} of requests within the SLO`;
  if (!furthest) return `No load has ${promise}.`;
  const others = kept.filter((cell) => loadOf(cell) === loadOf(furthest));
  const names = others.length > FEW ? `${others.length} of ${SERIES.length} series`
    : others.map(seriesName).join(", ");
  const every = loadOf(furthest) === view.loads.at(-1) ? "under every load, " : "";
  return `At least ${promise}: ${every}up to ${loadText(view.loop, loadOf(furthest))}`
    + `${SERIES.length > 1 ? ` (${names})` : ""}.`;
}

function machineFacts() {
  const { machine, machine_speeds: speeds } = DOCUMENT;
  const { physical_cores: cores, logical_cores: threads } = machine ?? {};
  return [el("h2", {}, "Machine"), facts([
    ["Processor", machine?.cpu || "unknown"],
    isNumber(cores) ? ["Cores", `${tokens(cores)}`
      + (threads !== cores && isNumber(threads) ? `, ${tokens(threads)} threads` : "")] : null,
    isNumber(machine?.total_memory_bytes)
      ? ["Memory", bytesText(machine.total_memory_bytes)] : null,
    isNumber(speeds?.read_bytes_per_s)
      ? ["Reads", `${bytesText(speeds.read_bytes_per_s)}/s, measured`] : null,
    isNumber(speeds?.int8_operations_per_s)
      ? ["Products", `${figure(speeds.int8_operations_per_s / 1e9)} int8 GOP/s, measured`] : null,
    ["Engines", [...new Set(CELLS.map((cell) => cell.engine))].join(", ") || BLANK],
    DOCUMENT.date ? ["Date", String(DOCUMENT.date)] : null,
  ])];
}

function workloadFacts(view) {
  if (!view) return facts([]);
  const [first] = view.cells;
  const total = view.cells.reduce((sum, cell) => sum + cell.requests, 0);
  const names = { ttft_s: "first token", ttfat_s: "first answer", tpot_s: "each token",
    e2e_s: "end to end" };
  const slo = Object.entries(DOCUMENT.slo ?? {}).filter(([, value]) => isNumber(value))
    .map(([name, value]) => `${names[name] ?? name} ≤ ${duration(value)}`);
  return facts([
    ["Name", first.workload],
    ["Prompt", isNumber(first.prompt_tokens) ? `${tokens(first.prompt_tokens)} tokens`
      : "as it is"],
    ["Output", isNumber(first.output_tokens) ? `${tokens(first.output_tokens)} tokens`
      : "as long as the model likes"],
    ["Load", view.loop === "open" ? "requests arrive at a rate, answered or not"
      : "each user asks again when answered"],
    ["Requests", `${tokens(total)} completed in ${tokens(view.cells.length)} cells`],
    ["SLO", slo.join(", ") || "none"],
  ]);
}

/** Limits that were searched for, and models set beside each other: of the whole document. */
function drawFindings() {
  const sweeps = DOCUMENT.sweeps ?? [], comparisons = DOCUMENT.comparisons ?? [];
  at("findings").hidden = !(sweeps.length + comparisons.length);
  at("findings").append(...[
    sweeps.length ? el("div", { class: "card" }, el("h2", {}, "Limits found"),
      sweeps.map(sweepOf)) : null,
    comparisons.length ? el("div", { class: "card" }, el("h2", {}, "Compared"),
      el("table", { class: "plain" }, headCells(["Model", "against", "workload", "one stream",
        "many streams"]), el("tbody", {}, comparisons.map((one) => el("tr", {},
        el("th", { scope: "row" }, one.model), numberCell(one.baseline), numberCell(one.workload),
        numberCell(times(one.single_stream_speedup)),
        numberCell(times(one.multi_stream_speedup))))))) : null,
  ].filter(Boolean));
}

const times = orBlank((value) => `${value.toFixed(2)} ×`);

function sweepOf({ sentence: text, tried }) {
  return el("div", { class: "sweep" }, el("p", {}, sentence(text)),
    el("p", { class: "tried" }, (tried ?? []).map(({ value, kept, ...rest }) => el("span", {
      class: `chip ${kept ? "kept" : "broken"}`,
      title: Object.entries(rest).map(([name, one]) => `${name}: ${one}`).join(", ") || null,
    }, `${kept ? "✓" : "✕"} ${tokens(value)}`))));
}

function drawFoot() {
  const { stillhouse, commit } = DOCUMENT;
  const made = ["Stillhouse", stillhouse, commit ? `(${String(commit).slice(0, 10)})` : null]
    .filter(Boolean).join(" ");
  at("foot").append(el("p", {}, "Output counts thoughts and answers. The roofline is the least"
    + " time in which this machine's memory can be read and its products made. p95 of fewer than"
    + ` 20 requests is the slowest or nearly so. Made by ${made}.`));
}
