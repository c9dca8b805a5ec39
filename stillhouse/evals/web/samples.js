// Samples: found by what they are and what stands in them, alone or in pairs of two results.

const SAMPLES = (DOCUMENT.samples ?? []).map((one, n) => ({ ...DOCUMENT.problems[one.at], ...one,
  n }));
const SAMPLE_LABELS = [...new Set(SAMPLES.map((one) => one.label))];
const SAMPLE_TASKS = [...new Set(SAMPLES.map((one) => one.task))];
const hasPairs = SAMPLE_LABELS.length > 1;
const CHANGES = [["lost", "right, then not"], ["gained", "not right, then right"],
  ["other", "not right in another way"], ["same", "the same verdict"]];

const BY_PROBLEM = new Map(); // by its place: other problems may have the same name in another run
for (const one of SAMPLES) {
  if (!BY_PROBLEM.has(one.at)) BY_PROBLEM.set(one.at, []);
  BY_PROBLEM.get(one.at).push(one);
}
/** All samples of one's problem, by label. */
const siblingsOf = ({ at: place }) => SAMPLE_LABELS.map((label) => [label,
  BY_PROBLEM.get(place).filter((one) => one.label === label)]).filter(([, own]) => own.length);

/** What stands in a sample, to be searched; a text that is not there matches nothing. */
const TEXTS = ["problem", "prompt", "gold", "extracted", "note", "reasoning", "answer"];
const patternOf = (text) => (text
  ? new RegExp(text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"), "gi") : null);
/** By `search`, which leaves `lastIndex` alone: from there `matchAll` would begin to mark. */
const holds = (one, pattern) => !pattern || TEXTS.some((name) =>
  one[name] && String(one[name]).search(pattern) >= 0);

/** In the order of the document. A filter that is empty lets all through. */
function samplesLike({ task, label, verdict, pattern }) {
  return SAMPLES.filter((one) => (!task || one.task === task) && (!label || one.label === label)
    && (!verdict || one.verdict === verdict) && holds(one, pattern));
}

const changeOf = (a, b) => (a.verdict === b.verdict ? "same" : a.verdict === "right" ? "lost"
  : b.verdict === "right" ? "gained" : "other");

/** The same problem and number in both: first what A has right and B has not. */
function pairsLike({ task, a, b, change, pattern }) {
  const keyOf = (one) => `${one.at} ${one.number}`;
  const second = new Map(SAMPLES.filter((one) => one.label === b).map((one) => [keyOf(one), one]));
  const order = CHANGES.map(([name]) => name);
  return SAMPLES.filter((one) => one.label === a && (!task || one.task === task))
    .map((one) => ({ a: one, b: second.get(keyOf(one)) })).filter((pair) => pair.b)
    .map((pair) => ({ ...pair, change: changeOf(pair.a, pair.b) }))
    .filter((pair) => (!change || pair.change === change)
      && (holds(pair.a, pattern) || holds(pair.b, pattern)))
    .sort((one, other) => order.indexOf(one.change) - order.indexOf(other.change)
      || one.a.n - other.a.n);
}
