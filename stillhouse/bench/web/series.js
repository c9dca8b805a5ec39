// Cells in views (one workload each) and in series (one model on one engine), and their names.

const CELLS = DOCUMENT.results.map((cell, n) => ({ ...cell, number: n }));

const loadOf = (cell) => (cell.loop === "open" ? cell.rate_per_s : cell.users);
const loadText = (loop, load) => (loop === "open" ? `${load} requests/s`
  : `${tokens(load)} user${load === 1 ? "" : "s"}`);
const loadName = (cell) => loadText(cell.loop, loadOf(cell));

/** Three significant figures: 0.0450, 1.50, 317, 8,831. */
const significant = orBlank((value) => {
  if (Math.abs(value) >= 99.95) return Math.round(value).toLocaleString("en");
  return Math.abs(value) < 1e-6 ? String(value) : value.toPrecision(3);
});
const milliseconds = orBlank((value) => significant(value * 1000));
const duration = orBlank((value) =>
  (value < 0.9995 ? `${milliseconds(value)} ms` : seconds(value)));
const wholePercent = orBlank((share) => `${(share * 100).toFixed(0)} %`);

const MEASURES = [
  ["ttft_s", "First token", "TTFT: from sending the request to the first token, thought or answer"],
  ["ttfat_s", "First answer", "TTFAT: from sending the request to the first text of the answer"],
  ["tpot_s", "Each token", "TPOT: (end-to-end - TTFT) / (tokens - 1)"],
  ["itl_s", "Between pieces", "ITL: between pieces of a stream, all requests pooled"],
  ["e2e_s", "End to end", "E2E: from sending the request to its last token"],
];
const measureName = (measure) => MEASURES.find(([name]) => name === measure)?.[1] ?? measure;

/** Values that differ between items: what has to be said to tell them apart. */
const differing = (items, names) => names.filter((name) =>
  new Set(items.map((item) => item[name] ?? null)).size > 1);

function grouped(cells, names) {
  const groups = new Map();
  for (const cell of cells) {
    const group = JSON.stringify(names.map((name) => cell[name] ?? null));
    if (!groups.has(group)) groups.set(group, []);
    groups.get(group).push(cell);
  }
  return [...groups.values()];
}

function seriesOf(cells) {
  const groups = grouped(cells, ["engine", "model", "quantization", "url"]);
  const heads = groups.map(([first]) => first);
  const parts = differing(heads, ["engine", "model", "quantization"]);
  const short = (cell) => (parts.length ? parts : ["model"])
    .map((name) => cell[name] ?? "format unknown").join(" ");
  const named = heads.map(short);
  return groups.map((group, n) => {
    const [first] = group;
    const same = named.filter((name) => name === named[n]).length > 1;
    const name = same ? `${named[n]} at ${first.url ?? "this process"}` : named[n];
    for (const cell of group) cell.series = n;
    return { n, name, colour: `series${n % 8}`, shape: n + Math.floor(n / 8) };
  });
}
const SERIES = seriesOf(CELLS);
const seriesName = (cell) => SERIES[cell.series].name;

const lengthsAsked = (cell) => [cell.prompt_tokens, cell.output_tokens]
  .map((count) => (isNumber(count) ? tokens(count) : "any")).join(" + ");
const lengths = (cell) => (isNumber(cell.prompt_tokens) || isNumber(cell.output_tokens)
  ? `${lengthsAsked(cell)} tokens` : "lengths as they come");

/** One workload each, under loads of one kind, so that its loads are one axis. */
function viewsOf(cells) {
  const groups = grouped(cells, ["workload", "prompt_tokens", "output_tokens", "loop"]);
  const heads = groups.map(([first]) => first);
  return groups.map((group) => {
    const [first] = group;
    const alike = heads.filter((head) => head.workload === first.workload);
    const name = [
      first.workload,
      differing(alike, ["prompt_tokens", "output_tokens"]).length ? lengths(first) : null,
      differing(alike, ["loop"]).length ? `${first.loop} loop` : null,
    ].filter(Boolean).join(", ");
    const loads = [...new Set(group.map(loadOf))].filter(isNumber).sort((a, b) => a - b);
    return { name, cells: group, loads, loop: first.loop };
  });
}
const VIEWS = viewsOf(CELLS);

/** What is to be known of a cell before its figures are believed: pairs of kind and words. */
function warningsOf(cell) {
  const share = (value) => `${(value * 100).toFixed(value < 0.095 ? 1 : 0)} %`;
  return [
    cell.errors ? ["error", `✕ ${tokens(cell.errors)} failed`] : null,
    cell.is_complete ? null : ["error", "◼ stopped early"],
    cell.truncated_share > 0 ? ["warning", `✂ ${share(cell.truncated_share)} truncated`] : null,
    cell.looped_share > 0 ? ["warning", `↻ ${share(cell.looped_share)} looped`] : null,
    cell.short_outputs ? ["warning", `◂ ${tokens(cell.short_outputs)} short`] : null,
    cell.counted === "chunks" ? ["quiet", "≈ pieces counted"] : null,
  ].filter(Boolean);
}
const isDoubtful = (cell) => warningsOf(cell).some(([kind]) => kind === "error");
