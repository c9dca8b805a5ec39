// The page: what the source is, the plots, a table of all models, and the matrices that lost most.

const WORST = 12;
const SOURCE = DOCUMENT.source, TEXT = DOCUMENT.text;
const RESULTS = DOCUMENT.results.map((one, n) => ({ ...one, n, short: shortName(one.model) }));
const state = { sort: null, descending: false };

/** Without what all of them begin with, and without how files end. */
function shortName(name) {
  const names = DOCUMENT.results.map((one) => one.model);
  let same = 0;
  while (names.length > 1 && names[0][same] && names.every((one) => one[same] === names[0][same])) {
    same += 1;
  }
  while (same && !"-_.:/".includes(names[0][same - 1])) same -= 1;
  return (name.slice(same) || name).replace(/\.gguf$/i, "") || name;
}

const withError = (factor, digits) => (pair) => [
  (pair.value * factor).toFixed(digits),
  el("span", { class: "error" }, ` ± ${small(Number((pair.error * factor).toPrecision(2)))}`)];
const digitsOf = (pair) => {
  const digits = pair.error > 0 ? 1 - Math.floor(Math.log10(pair.error)) : 3;
  return Math.min(9, Math.max(0, digits));
};
const estimate = (name, factor = 1) => (one) => {
  const pair = one[name];
  if (!pair) return BLANK;
  const scaled = { value: pair.value * factor, error: pair.error * factor };
  return withError(1, digitsOf(scaled))(scaled);
};

const speed = (key, name) => ({ key, name, unit: "tok/s", most: true, get: (one) => one[key],
  show: (one) => figure(one[key]) });
const COLUMNS = [
  { key: "model", name: "Model", fixed: true, get: (one) => one.model },
  { key: "size", name: "File", unit: "GB", get: (one) => one.file_bytes,
    show: (one) => gigabytes(one.file_bytes) },
  { key: "bits", name: "Bits a weight", get: (one) => one.bits_per_weight,
    show: (one) => one.bits_per_weight.toFixed(2) },
  { key: "perplexity", name: "Perplexity", get: (one) => one.perplexity?.value,
    show: estimate("perplexity") },
  { key: "ratio", name: "of the source's", get: (one) => one.perplexity_ratio?.value,
    show: estimate("perplexity_ratio") },
  { key: "kl", name: "KL divergence", unit: "nats", get: (one) => one.kl?.value,
    show: estimate("kl") },
  { key: "kl99", name: "KL, 99 %", unit: "nats", get: (one) => one.kl_percentiles?.["99"],
    show: (one) => (one.kl ? small(one.kl_percentiles["99"]) : BLANK) },
  { key: "top", name: "Same likeliest token", unit: "%", most: true,
    get: (one) => one.same_top?.value, show: estimate("same_top", 100) },
  { key: "rms", name: "RMS Δp", unit: "%", title: "Of the token that came: how far its probability"
    + " is from the source's", get: (one) => one.delta_p_rms?.value,
  show: estimate("delta_p_rms", 100) },
  ...(DOCUMENT.results.some((one) => isNumber(one.decode_tokens_per_s))
    ? [speed("prefill_tokens_per_s", "Prefill"), speed("decode_tokens_per_s", "Decode")] : []),
];

function drawHead() {
  at("title").textContent = `What quantising ${SOURCE.model} cost`;
  const best = [...RESULTS].sort((a, b) => a.kl.value - b.kl.value)[0];
  const perplexity = best.source_perplexity;
  at("head").append(el("div", { class: "card pick" },
    el("p", { class: "over" }, "Source"), el("h2", {}, SOURCE.model),
    el("div", { class: "stats" },
      stat(figure(SOURCE.file_bytes / 1e9), " GB", "file"),
      stat(SOURCE.bits_per_weight.toFixed(2), "", "bits a weight"),
      stat(perplexity.value.toFixed(digitsOf(perplexity)), ` ± ${small(Number(
        perplexity.error.toPrecision(2)))}`, "perplexity of the text")),
    el("p", { class: "quiet" }, "Nearest to it: ", el("b", {}, best.model),
      `, KL divergence ${small(best.kl.value)}.`)),
  el("div", { class: "card facts" }, el("h2", {}, "Measured"), facts([
    ["text", TEXT.name],
    ["read", `${tokens(TEXT.tokens)} tokens, ${TEXT.window_tokens} at a time`],
    ["scored", `${tokens(TEXT.scored_tokens)}, of the second half of each window`],
    DOCUMENT.machine && ["machine", DOCUMENT.machine.cpu],
  ])));
}

function drawTable() {
  drawSortableHead(at("table"), COLUMNS, state, drawTable);
  const by = COLUMNS.find((column) => column.key === state.sort);
  const source = { ...SOURCE, perplexity: RESULTS[0].source_perplexity };
  const rowOf = (one, name) => el("tr", { class: name }, COLUMNS.map((column) => (column.fixed
    ? el("th", { scope: "row" }, one.model)
    : el("td", { class: "number" }, column.show(one)))));
  const shown = by ? sortedBy(by, state.descending, RESULTS) : RESULTS;
  at("table").tBodies[0].replaceChildren(rowOf(source, "option source"),
    ...shown.map((one) => rowOf(one, "option")));
}

function drawMatrices() {
  for (const one of RESULTS.filter((result) => result.tensors)) {
    const head = ["Matrix", "Format", "Error² / signal²", "SNR, dB"];
    at("matrices").append(el("div", { class: "card" },
      el("h2", {}, `${one.model}: what lost most`),
      el("table", { class: "plain" },
        el("thead", {}, el("tr", {}, head.map((name, n) => el("th", { scope: "col",
          class: n > 1 ? "number" : null }, name)))),
        el("tbody", {}, one.tensors.slice(0, WORST).map((tensor) => el("tr", {},
          el("th", { scope: "row" }, tensor.name), el("td", {}, tensor.format_name),
          el("td", { class: "number" }, small(tensor.nmse)),
          el("td", { class: "number" }, isNumber(tensor.snr_db) ? tensor.snr_db.toFixed(1)
            : BLANK)))))));
  }
}

function drawPlots() {
  drawLadder(at("ladder"), RESULTS);
  drawSpread(at("spread"), RESULTS);
}

function drawFoot() {
  const { stillhouse, commit } = DOCUMENT;
  const made = ["Stillhouse", stillhouse, commit ? `(${String(commit).slice(0, 10)})` : null]
    .filter(Boolean).join(" ");
  at("foot").append(el("p", {}, "± is one standard error, taking predictions as independent;"
    + " figures are defined as in llama.cpp's perplexity tool. The divergence is that of"
    + ` ${SOURCE.model}'s predictions from each model's. Made by ${made}.`));
}

drawHead();
drawTable();
drawMatrices();
drawFoot();
keepTheme();
drawPlots();
onNewWidth(drawPlots);
