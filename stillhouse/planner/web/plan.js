// The page: the recommendation, filters, and the table that the plots follow.

const OPTIONS = DOCUMENT.options.map((option, n) => ({ ...option, rank: n + 1 }));
const DEVICES = DOCUMENT.devices?.length ? DOCUMENT.devices : [DOCUMENT.device];
const USERS = DOCUMENT.workload.users;
const MOST_COLOURS = 10;

const uniqueOf = (name) => [...new Set(OPTIONS.map((o) => o[name]))];
const shortTitle = (title) => title.replace(/^DeepSeek-/, "").replace(/^R1-Distill-/, "");

const ONE_MODEL = DEVICES.length > 1 && uniqueOf("title").length === 1;

/** What the plots ask about an option. */
const PLAN = {
  users: USERS,
  titles: uniqueOf("title"),
  deviceNames: DEVICES.map((device) => device.name),
  groupOf: (o) => (ONE_MODEL ? o.device : shortTitle(o.title)), // what colours tell apart
  colourOf: (o) => `colour${GROUPS.indexOf(PLAN.groupOf(o)) % MOST_COLOURS}`,
  each: (o) => (isNumber(o.decode_tokens_per_s) ? o.decode_tokens_per_s / USERS : undefined),
  nameOf: (o) => `${o.title} ${o.quantization}, ${DEVICES.length > 1 ? o.device : o.engine}`,
  shortName: (o) => [ONE_MODEL ? null : shortTitle(o.title), o.quantization,
    DEVICES.length > 1 ? o.device : null].filter(Boolean).join(" "),
  capacity: (o) => {
    const device = DEVICES.length === 1 ? DEVICES[0] : DEVICES.find((one) => one.name === o.device);
    return device ? device.memory_bytes * device.count : undefined;
  },
  isBest: (o) => {
    const best = DOCUMENT.recommendation;
    return Boolean(best) && o.model === best.model && o.quantization === best.quantization
      && (!best.device || !o.device || best.device === o.device);
  },
};

const GROUPS = [...new Set(OPTIONS.map(PLAN.groupOf))];

const leastCost = (o) => {
  const known = [o.cost?.electricity_usd_per_1000, o.cost?.rental_usd_per_1000].filter(isNumber);
  return known.length ? Math.min(...known) : undefined;
};
const scoreText = (share, o) =>
  (isNumber(share) && !o.quality.recovery_of_this_size ? "≈ " : "") + percent(share);
const score = (name) => ({
  get: (o) => o.quality[name], most: true,
  show: (value, o) => scoreText(value, o),
});

// `get` is what is sorted by; numbers stand right; `most`: the first click puts the largest first.
const COLUMNS = [
  { key: "rank", name: "#", title: "The plan's own order", get: (o) => o.rank, show: String },
  DEVICES.length > 1 && { key: "device", name: "System", get: (o) => o.device },
  { key: "model", name: "Model", get: (o) => o.title, fixed: true },
  { key: "quantization", name: "Quantisation", get: (o) => o.quantization },
  { key: "engine", name: "Engine", get: (o) => o.engine },
  { key: "verdict", name: "Verdict", get: (o) => Object.keys(VERDICTS).indexOf(o.verdict),
    cell: (o) => verdictMark(o.verdict) },
  { key: "memory", name: "Memory", unit: "GB", get: (o) => o.memory.bytes, show: gigabytes },
  { key: "file", name: "File", unit: "GB", get: (o) => o.file_bytes, show: gigabytes },
  { key: "decode", name: USERS > 1 ? "All users" : "Decode", unit: "tok/s", most: true,
    get: (o) => o.decode_tokens_per_s, show: figure },
  USERS > 1 && { key: "each", name: "Each user", unit: "tok/s", most: true, get: PLAN.each,
    show: figure },
  { key: "limit", name: "Limit", unit: "tok/s", most: true, get: (o) => o.limit_tokens_per_s,
    show: figure, title: "If the memory's whole bandwidth were reached" },
  { key: "ttft", name: "First token", get: (o) => o.ttft_s, show: seconds },
  { key: "answer", name: "To the answer", get: (o) => o.time_to_answer_s, show: seconds,
    title: "Until the answer's first token, after prompt and thought" },
  { key: "thinking", name: "Thinking tax", get: (o) => o.thinking_tax_s, show: seconds,
    title: "What the thought takes of that" },
  { key: "aime", name: "AIME 2024", unit: "%", ...score("aime_2024") },
  { key: "math", name: "MATH-500", unit: "%", ...score("math_500") },
  { key: "cost", name: "1,000 answers", unit: "$", get: leastCost, show: usd,
    title: "Electricity or rent, whichever is less" },
].filter(Boolean);

const state = { sort: "rank", descending: false, opened: new Set() };
const field = (name) => at("filters").elements[name]?.value.trim() ?? "";

function shownOptions() {
  const words = field("text").toLowerCase().split(/\s+/).filter(Boolean);
  const least = Number.parseFloat(field("least"));
  const is = (name, value) => !field(name) || field(name) === value;
  const kept = OPTIONS.filter((o) => {
    const text = [o.model, o.title, o.quantization, o.engine, o.device, VERDICTS[o.verdict]]
      .join(" ").toLowerCase();
    return words.every((word) => text.includes(word))
      && (field("verdict") === "runs" ? o.verdict !== "does_not_fit" : is("verdict", o.verdict))
      && is("model", o.title) && is("quantization", o.quantization) && is("device", o.device)
      && (!(least > 0) || PLAN.each(o) >= least);
  });
  return sortedBy(COLUMNS.find((column) => column.key === state.sort), state.descending, kept);
}

function rowOf(o) {
  const isOpen = state.opened.has(o.rank);
  const toggle = () => {
    if (!state.opened.delete(o.rank)) state.opened.add(o.rank);
    const fresh = rowOf(o);
    if (isOpen) row.nextSibling.remove();
    row.replaceWith(...fresh);
    fresh[0].querySelector("button").focus({ preventScroll: true });
  };
  const cells = COLUMNS.map((column) => {
    const value = column.get(o);
    const text = column.show ? column.show(value, o) : value;
    if (column.cell) return el("td", {}, column.cell(o));
    if (column.key !== "model") {
      return el("td", { class: isNumeric(column) ? "number" : null }, text);
    }
    return el("th", { scope: "row", title: o.title },
      el("button", { type: "button", "aria-expanded": String(isOpen) },
        key(PLAN.colourOf(o), text.replace(/^DeepSeek-/, ""))),
      PLAN.isBest(o) ? el("span", { class: "badge", title: "recommended" }, "★") : null);
  });
  const row = el("tr", { class: `option${PLAN.isBest(o) ? " best" : ""}${isOpen ? " open" : ""}`,
    "data-rank": o.rank, "data-verdict": o.verdict, onclick: () => {
      if (getSelection().isCollapsed) toggle();
    } }, cells);
  if (!isOpen) return [row];
  const behind = el("td", { colspan: COLUMNS.length }, detailOf(o));
  return [row, el("tr", { class: "behind" }, behind)];
}

/** Opens an option's row and goes there. */
function open(o) {
  state.opened.add(o.rank);
  draw();
  const row = at("table").querySelector(`tr[data-rank="${o.rank}"]`);
  row.scrollIntoView({ block: "center" });
  row.querySelector("button").focus({ preventScroll: true });
}

function drawPlots(shown) {
  drawScatter(at("scatter"), shown, PLAN, open);
  drawBars(at("bars"), shown, PLAN, open);
  at("heat").hidden = DEVICES.length < 2;
  if (DEVICES.length > 1) drawHeat(at("heat"), shown, PLAN, open);
}

function draw() {
  const shown = shownOptions();
  drawSortableHead(at("table"), COLUMNS, state, draw);
  at("table").tBodies[0].replaceChildren(...shown.flatMap(rowOf));
  at("count").textContent = shown.length === OPTIONS.length ? `${shown.length} options`
    : `${shown.length} of ${OPTIONS.length} options`;
  drawPlots(shown);
}

drawHead(DOCUMENT, OPTIONS, DEVICES, PLAN);
drawFilters(PLAN, uniqueOf, draw);
drawFoot(DOCUMENT);
keepTheme();
draw();
onNewWidth(() => drawPlots(shownOptions()));
