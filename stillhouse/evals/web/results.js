// Results as the page has them: their tasks, the series they are in, their figures in words.

const RESULTS = DOCUMENT.results.map((one, n) => ({ ...one, n, tasks: one.tasks ?? {} }));
const COMPARISONS = DOCUMENT.comparisons ?? [];
const TASKS = [...new Set(RESULTS.flatMap((one) => Object.keys(one.tasks)))];

const VERDICTS = {
  right: { sign: "✓", name: "right" }, wrong: { sign: "✕", name: "wrong" },
  no_answer: { sign: "∅", name: "no answer" }, truncated: { sign: "✂", name: "truncated" },
  looped: { sign: "↻", name: "looped" },
};
const VERDICT_NAMES = Object.keys(VERDICTS);

const least = (items, get) => items.filter((item) => isNumber(get(item)))
  .sort((a, b) => get(a) - get(b))[0];
const greatest = (items, get) => least(items, (item) => {
  const value = get(item);
  return isNumber(value) ? -value : value;
});

const score = (one, task) => one.tasks[task]?.["pass@1"];
const interval = (one, task) => (one.tasks[task]?.interval?.every(isNumber)
  ? one.tasks[task].interval : null);
/** All that were graded: some questions may have more of them than others. */
const samplesOf = (figures) => VERDICT_NAMES.reduce((sum, name) => sum + (figures[name] ?? 0), 0);
const resultOf = (label) => RESULTS.find((one) => one.label === label);
const titleOf = (task) => RESULTS.find((one) => one.tasks[task])?.tasks[task].title ?? task;

/** With one decimal, of ties the even one, as in Python, where verdicts are written. */
const tenths = (value) => (Math.abs(value) % 1 === 0.25 ? value - Math.sign(value) * 0.01
  : value).toFixed(1);
/** A share in %, with a decimal; a difference in points, with its sign. */
const share = orBlank((value) => tenths(value * 100));
const points = orBlank((value) => {
  const text = tenths(Math.abs(value * 100));
  return text === "0.0" ? text : `${value < 0 ? "−" : "+"}${text}`;
});
const from_to = (show, low, high) => (isNumber(low) && isNumber(high)
  ? `${show(low)} to ${show(high)}` : BLANK);
/** Three significant figures: 0.0450, 1.50, 317, 8,831. */
const significant = orBlank((value) => (Math.abs(value) >= 99.95
  ? Math.round(value).toLocaleString("en") : value.toPrecision(3)));
/** The least and the most of them, or the one that all are. */
const span = (counts, one) => (Math.min(...counts) === Math.max(...counts) ? plural(counts[0], one)
  : `${tokens(Math.min(...counts))} to ${plural(Math.max(...counts), one)}`);
const plural = (count, one) => `${tokens(count)} ${one}${count === 1 ? "" : "s"}`;
const budgetText = (budget) => (isNumber(budget) ? tokens(budget) : "none");
const hasBudgets = new Set(RESULTS.map((one) => one.thinking_budget ?? null)).size > 1;

/** Without what all labels begin with, up to a place where a name ends: 1.7b, 1,024 and Q4_K_M
 * stay whole. */
const SHORT = ((labels) => {
  let same = 0;
  while (labels.length > 1 && labels[0][same]
    && labels.every((label) => label[same] === labels[0][same])) same += 1;
  const isEnd = (n) => "/: ".includes(labels[0][n - 1]) || (labels[0][n - 1] === "-"
    && labels.every((label) => /[\p{L}\p{N}]/u.test(label[n] ?? "")));
  while (same && !isEnd(same)) same -= 1;
  return new Map(labels.map((label) => [label, label.slice(same) || label]));
})(RESULTS.map((one) => one.label));
const shortOf = (label) => SHORT.get(label) ?? label;

/** One model in one quantisation on one engine: results that differ in their budget alone. */
const SERIES = [...new Set(RESULTS.map((one) => JSON.stringify(
  [one.model, one.quantization, one.engine, one.url])))];
const SERIES_MARKS = SERIES.map((_, n) => ({ n, colour: `series${n % 8}`,
  shape: n + Math.floor(n / 8) }));
const seriesOf = (one) => SERIES_MARKS[SERIES.indexOf(JSON.stringify(
  [one.model, one.quantization, one.engine, one.url]))];

/** A name that begins a row, with its mark where the result is there. */
const named = (one, text) => el("span", { class: "row-name" },
  one ? markOf(seriesOf(one)) : null, text);

/** From the most bits a weight to the fewest, then from the largest budget; unknown ones last. */
const byBits = (results) => [...results].sort((a, b) =>
  (b.bits_per_weight ?? -1) - (a.bits_per_weight ?? -1)
  || (b.thinking_budget ?? Infinity) - (a.thinking_budget ?? Infinity) || a.n - b.n);

/** What the others of a task are compared with; null where nothing is compared. */
const baselineOf = (task) =>
  resultOf(COMPARISONS.find((one) => one.task === task)?.a) ?? null;
