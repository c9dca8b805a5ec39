// The table of cells, and what is behind one of its rows.

const MOST_REQUESTS = 100;

const ofCompleted = (text) => (cell) => (cell.requests ? text : "No request was completed");
/** Why a figure is not there, by the cell's name for it. */
const WHY = {
  quantization: () => "The server does not say",
  rate_per_s: () => "A closed loop: users ask again when they are answered",
  users: () => "An open loop: requests arrive at a rate",
  prompt_tokens: () => "Prompts are as long as they are",
  output_tokens: () => "Answers are as long as the model likes",
  user_tokens_per_s: ofCompleted("No request had two tokens"),
  prefill_tokens_per_s: ofCompleted("No request was seen waiting for its first token"),
  decode_tokens_per_s: ofCompleted("No request was seen past its first token"),
  ttft_s: ofCompleted("No request had a first token"),
  ttfat_s: ofCompleted("No request came to an answer"),
  tpot_s: ofCompleted("No request had two tokens"),
  itl_s: ofCompleted("No request had two pieces"),
  e2e_s: ofCompleted("No request had a token"),
  cached_share: ofCompleted("The server does not report cached tokens"),
  truncated_share: (cell) => (isNumber(cell.output_tokens)
    ? "The output's length is fixed" : "No request was completed"),
  looped_share: ofCompleted("The server does not say"),
  goodput_per_s: () => "There is no SLO",
  goodput_share: () => "There is no SLO",
  quality_recovery: () => "Nobody has published it for this quantisation",
  peak_memory_bytes: () => "The server's memory cannot be seen from here",
  roofline_share: (cell) => cell.roofline_how ?? "The limit is not known",
  roofline_tokens_per_s: (cell) => cell.roofline_how ?? "The limit is not known",
  speedup: () => "There is no cell of one user of the same model and workload",
};
const missing = (name, cell) => WHY[name]?.(cell) ?? ofCompleted("Not available")(cell);

const plainOf = (name, about) => ({ key: name, field: name, get: (cell) => cell[name], ...about });
const numberOf = (name, title, unit, show = significant, about = {}) =>
  plainOf(name, { name: title, unit, show, most: true, ...about });
const spreadOf = (measure, at_, text, unit, main) => ({
  key: `${measure}.${at_}`, field: measure, name: text, unit: `${at_}, ${unit}`, main,
  get: (cell) => cell[measure]?.[at_], show: unit === "ms" ? milliseconds : significant,
  title: MEASURES.find(([name]) => name === measure)[2],
});
const spreadsOf = (measure, text, unit, main) => ["mean", "p50", "p95", "p99"]
  .map((at_) => spreadOf(measure, at_, text, unit, main.includes(at_)));
const main = { main: true };

// As in table.js; `field` is the cell's own name, `main`: it is shown at first.
const COLUMNS = [
  { key: "series", name: "Series", get: seriesName, fixed: true, main: true },
  plainOf("engine", { name: "Engine" }), plainOf("url", { name: "Address" }),
  plainOf("model", { name: "Model" }), plainOf("quantization", { name: "Quantisation" }),
  plainOf("workload", { name: "Workload" }),
  numberOf("users", "Users", "", tokens, { main: VIEWS.some((view) => view.loop !== "open") }),
  numberOf("rate_per_s", "Offered", "req/s", significant,
    { main: VIEWS.some((view) => view.loop === "open") }),
  { key: "warnings", name: "To know", most: true,
    main: CELLS.some((cell) => warningsOf(cell).length),
    title: "Failed, truncated, looping and short requests",
    get: (cell) => warningsOf(cell).map(([, text]) => text).join(" "),
    cell: (cell) => el("div", { class: "flags" }, warningsOf(cell).map(([kind, text]) =>
      el("span", { class: `flag ${kind}` }, text))) },
  numberOf("requests", "Requests", "completed", tokens, main),
  numberOf("errors", "Failed", "requests", tokens),
  numberOf("output_tokens_per_s", "Output", "tok/s", figure, main),
  numberOf("user_tokens_per_s", "Each user", "tok/s", figure, main),
  numberOf("total_tokens_per_s", "With prompts", "tok/s", figure),
  numberOf("prefill_tokens_per_s", "Prefill", "tok/s", figure),
  numberOf("decode_tokens_per_s", "Decode", "tok/s", figure),
  numberOf("requests_per_s", "Requests", "per s"),
  ...spreadsOf("ttft_s", "First token", "s", ["p50", "p95"]),
  ...spreadsOf("ttfat_s", "First answer", "s", ["p50", "p95"]),
  ...spreadsOf("tpot_s", "Each token", "ms", ["p50"]),
  ...spreadsOf("itl_s", "Between pieces", "ms", []),
  ...spreadsOf("e2e_s", "End to end", "s", ["p50"]),
  numberOf("goodput_share", "Within SLO", "%", percent, main),
  numberOf("goodput_per_s", "Goodput", "req/s"),
  numberOf("roofline_share", "Of roofline", "%", percent, main),
  numberOf("roofline_tokens_per_s", "Roofline", "tok/s", figure),
  numberOf("speedup", "Speed-up", "× 1 user", significant, main),
  numberOf("quality_recovery", "Score kept", "% of 16 bits", percent,
    { main: CELLS.some((cell) => isNumber(cell.quality_recovery)),
      say: (cell) => cell.quality_source,
      title: "Of the unquantised model's score, as published for this quantisation" }),
  numberOf("peak_memory_bytes", "Memory", "GB", gigabytes, main),
  numberOf("mean_prompt_tokens", "Prompt", "tokens"),
  numberOf("mean_reasoning_tokens", "Thought", "tokens"),
  numberOf("mean_answer_tokens", "Answer", "tokens"),
  numberOf("cached_share", "Cached", "% of prompts", percent),
  numberOf("truncated_share", "Truncated", "%", percent),
  numberOf("looped_share", "Looped", "%", percent),
  numberOf("short_outputs", "Short", "requests", tokens),
  numberOf("peak_concurrency", "At once", "requests", tokens),
  numberOf("prompt_tokens", "Prompt asked", "tokens", tokens),
  numberOf("output_tokens", "Output asked", "tokens", tokens),
  numberOf("duration_s", "Duration", "s"),
  plainOf("counted", { name: "Counted by" }),
];

function cellOf(column, cell) {
  const numeric = isNumeric(column), value = column.get(cell);
  if (column.cell) return el("td", { "data-key": column.key }, column.cell(cell));
  if (value === null || value === undefined) {
    const why = column.key === "url" ? "In this process" : missing(column.field, cell);
    return el("td", { class: `${numeric ? "number " : ""}na`, "data-key": column.key, title: why },
      "n/a");
  }
  return el("td", { class: numeric ? "number" : null, "data-key": column.key,
    title: column.say?.(cell) }, numeric ? column.show(value) : value);
}

/** One row, and the one behind it where it is open. */
function rowsOf(cell, columns, state, toggle) {
  const isOpen = state.opened.has(cell.number), series = SERIES[cell.series];
  const failed = warningsOf(cell).some(([kind]) => kind === "error");
  const name = el("th", { scope: "row", title: `${cell.engine}, ${cell.model}, `
    + (cell.quantization ?? "format unknown") },
  el("button", { type: "button", "aria-expanded": String(isOpen) }, markOf(series), series.name));
  const row = el("tr", { class: `option${failed ? " failed" : ""}${isOpen ? " open" : ""}`,
    "data-number": cell.number,
    onclick: () => { if (getSelection().isCollapsed) toggle(cell); } },
  name, columns.slice(1).map((column) => cellOf(column, cell)));
  if (!isOpen) return [row];
  return [row, el("tr", { class: "behind" }, el("td", { colspan: columns.length }, behind(cell)))];
}

const section = (title, ...children) => el("section", {}, el("h3", {}, title), ...children);
const numberCell = (text) => el("td", { class: "number" }, text);
const headCells = (names) => el("thead", {}, el("tr", {}, names.map((name, n) =>
  el("th", { scope: "col", class: n ? "number" : null }, name))));

function behind(cell) {
  const problems = [
    ...Object.entries(cell.error_kinds ?? {}).map(([kind, count]) => `${kind}: ${tokens(count)}`),
    ...(cell.error_examples ?? []),
  ];
  return el("div", { class: "detail" },
    el("p", {}, el("strong", {}, `${cell.model} ${cell.quantization ?? ""} on ${cell.engine}`),
      ` ${cell.url ?? "in this process"}: ${cell.workload}, ${lengths(cell)}, ${loadName(cell)}.`),
    problems.length ? section("Failures", el("ul", {}, problems.map((text) => el("li", {}, text))))
      : null,
    el("div", { class: "columns" }, section("Seconds", spreadTable(cell)),
      section("Roofline", el("p", {}, cell.roofline_how
        ? sentence(cell.roofline_how) : "The limit of this cell is not known."))),
    section(`Requests: ${tokens(cell.request_records?.length ?? 0)}`, requestTable(cell)));
}

function spreadTable(cell) {
  const rows = MEASURES.map(([measure, text, title]) => {
    const spread = cell[measure];
    const figures = spread ? [tokens(spread.count), ...["mean", "p50", "p95", "p99"]
      .map((at_) => duration(spread[at_]))].map(numberCell)
      : el("td", { class: "na", colspan: 5 }, missing(measure, cell));
    return el("tr", {}, el("th", { scope: "row", title }, text), figures);
  });
  return el("table", { class: "plain" }, headCells(["", "requests", "mean", "p50", "p95", "p99"]),
    el("tbody", {}, rows));
}

const RECORD_COLUMNS = [
  ["#", "number", String], ["started", "started_s", duration], ["first token", "ttft_s", duration],
  ["first answer", "ttfat_s", duration], ["each token", "tpot_s", duration],
  ["end to end", "e2e_s", duration], ["prompt", "prompt_tokens", tokens],
  ["cached", "cached_tokens", tokens], ["thought", "reasoning_tokens", tokens],
  ["answer", "answer_tokens", tokens],
];

function requestTable(cell) {
  const records = cell.request_records ?? [];
  const rowOf = (record) => el("tr", { class: record.error ? "failed" : null },
    RECORD_COLUMNS.map(([, name, show]) =>
      numberCell(isNumber(record[name]) ? show(record[name]) : BLANK)),
    el("td", { class: "ending" }, record.error
      ? [el("span", { class: "flag error" }, `✕ ${record.error}`), record.message ?? ""]
      : [record.finish_reason, record.thinking_end ? `thought: ${record.thinking_end}` : null]
        .filter(Boolean).join(", ") || BLANK));
  const body = el("tbody", {}, records.slice(0, MOST_REQUESTS).map(rowOf));
  const rest = records.slice(MOST_REQUESTS);
  const more = rest.length ? el("button", { type: "button", onclick: () => {
    body.append(...rest.map(rowOf));
    more.remove();
  } }, `Show the other ${tokens(rest.length)}`) : null;
  return el("div", { class: "requests", tabindex: 0, role: "region", "aria-label": "Requests" },
    el("table", { class: "plain" }, el("thead", {}, el("tr", {},
      RECORD_COLUMNS.map(([name]) => el("th", { scope: "col", class: "number" }, name)),
      el("th", { scope: "col" }, "ended by"))), body), more);
}
