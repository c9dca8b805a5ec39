// Scores: one table a task, one row a result, and before them, for several tasks, all at a glance.

const figureOf = (key, name, unit, get, show, about = {}) => ({ key, name, unit,
  show: orBlank(show), get: (one) => get(one.tasks[state.task], one), ...about });
const counted = (key, title) => figureOf(key, VERDICTS[key].name, "samples",
  (figures) => figures[key], tokens, { title });

/** The largest k that every result of a task has, of `maj@k` say; null where there is none. */
function sharedK(name) {
  const sets = shownResults().map((one) => Object.keys(one.tasks[state.task][name] ?? {}));
  const all = sets.length ? sets[0].filter((k) => sets.every((set) => set.includes(k))) : [];
  return all.length ? String(Math.max(...all.map(Number))) : null;
}

function columns() {
  const k = sharedK("maj@k");
  const isSaid = RESULTS.every((one) => one.label.includes(one.quantization ?? ""));
  return [
    { key: "label", name: "Result", fixed: true, get: (one) => one.label },
    isSaid ? null : { key: "quantization", name: "Quantisation",
      get: (one) => one.quantization },
    figureOf("bits", "Bits", "a weight", (_, one) => one.bits_per_weight,
      (value) => value.toFixed(2), { most: true }),
    figureOf("size", "File", "GB", (_, one) => one.file_bytes, gigabytes),
    hasBudgets ? { ...figureOf("thinking_budget", "Budget", "tokens",
      (_, one) => one.thinking_budget, tokens), show: budgetText } : null,
    figureOf("pass@1", "pass@1", "%", (figures) => figures["pass@1"], share,
      { most: true, strong: true }),
    { ...figureOf("interval", "interval", "95 %", (figures) => figures.interval?.[0], share),
      show: (_, one) => from_to(share, ...(interval(one, state.task) ?? [])) },
    figureOf("stderr_sampling", "± sampling", "points", (figures) => figures.stderr_sampling,
      (value) => (100 * value).toFixed(1),
      { title: "Standard error if the same questions were sampled again" }),
    figureOf("stderr_questions", "± questions", "points", (figures) => figures.stderr_questions,
      (value) => (100 * value).toFixed(1),
      { title: "Standard error if other questions of their kind were asked" }),
    ...(k ? [figureOf("maj@k", `maj@${k}`, "%", (figures) => figures["maj@k"]?.[k], share,
      { most: true, title: "Of questions: the most frequent of k answers is right" })] : []),
    counted("no_answer", "Ended without an answer that could be read"),
    counted("truncated", "A limit of tokens came before an answer"),
    counted("looped", "Went in circles until it was stopped"),
    figureOf("mean_reasoning_tokens", "Thought", "tokens",
      (figures) => figures.mean_reasoning_tokens, significant),
    figureOf("tokens_per_correct", "Tokens", "per correct",
      (figures) => figures.tokens_per_correct, significant),
    figureOf("seconds_per_correct", "Seconds", "per correct",
      (figures) => figures.seconds_per_correct, significant),
  ].filter((column) => column && shownResults().some((one) => (column.get(one) ?? null) !== null));
}

function drawScores() {
  const all = columns(), rows = shownResults();
  at("scores").hidden = !state.task;
  if (!state.task) return;
  const by = all.find((column) => column.key === state.sort);
  drawSortableHead(at("table"), all, state, drawScores);
  at("table").tBodies[0].replaceChildren(...(by ? sortedBy(by, state.descending, rows)
    : byBits(rows)).flatMap((one) => rowsOf(one, all)));
  const [first] = rows, figures = first?.tasks[state.task];
  at("task").textContent = titleOf(state.task);
  at("count").textContent = figures ? `${span(askedCounts("questions"), "question")} × `
    + `${span(askedCounts("samples"), "sample")}` : "";
  at("asked").replaceChildren(...(figures ? askedOf(figures, first.label) : []));
}

const askedCounts = (name) => shownResults().map((one) => one.tasks[state.task][name]);
const differs = (name) => new Set(askedCounts(name)).size > 1;

function rowsOf(one, all) {
  const isOpen = state.opened.has(one.n);
  const toggle = () => {
    if (!state.opened.delete(one.n)) state.opened.add(one.n);
    drawScores();
    at("table").querySelector(`tr[data-n="${one.n}"] button`).focus({ preventScroll: true });
  };
  const cell = (column) => {
    const value = column.get(one), isBlank = value === null || value === undefined;
    if (!isNumeric(column)) return el("td", {}, isBlank ? BLANK : value);
    const text = column.show(value, one);
    const name = column.strong ? "number strong" : value === 0 ? "number quiet-0" : "number";
    return el("td", { class: name, "data-key": column.key }, text);
  };
  const row = el("tr", { class: `option${isOpen ? " open" : ""}`, "data-n": one.n,
    onclick: () => { if (getSelection().isCollapsed) toggle(); } },
  el("th", { scope: "row", title: one.label }, el("button", { type: "button",
    "aria-expanded": String(isOpen) }, named(one, one.label))), all.slice(1).map(cell));
  return isOpen ? [row, el("tr", { class: "behind" }, el("td", { colspan: all.length },
    behind(one)))] : [row];
}

/** What has no column: where it ran, every k, and the scores of a task's groups. */
function behind(one) {
  const figures = one.tasks[state.task], total = samplesOf(figures);
  const around = (limits) => (limits ? ` (${from_to(share, ...limits)})` : "");
  const allK = (name) => Object.entries(figures[name] ?? {})
    .map(([k, value]) => `${name.replace("k", k)} ${share(value)} %`
      + around(figures[`${name}_interval`]?.[k])).join(", ");
  const groups = Object.entries(figures.groups ?? {}).map(([name, value]) =>
    [name, isNumber(value) ? value : value?.["pass@1"]]).sort((a, b) => a[1] - b[1]);
  return el("div", { class: "detail" }, el("div", { class: "columns" },
    el("div", { class: "facts" }, facts([
      ["model", [one.model, one.quantization].filter(Boolean).join(", ")],
      ["engine", `${one.engine ?? "unknown"}, ${one.url ?? "in process"}`],
      ["budget", isNumber(one.thinking_budget) ? `${tokens(one.thinking_budget)} tokens of thought`
        : "none"],
      drawn(figures.options) ? ["drawn", drawn(figures.options)] : null,
      ["took", `${seconds(one.duration_s)}, ${figure(one.output_tokens_per_s)} tok/s`],
    ])),
    el("div", { class: "facts" }, facts([
      differs("questions") || differs("samples") ? ["asked", `${plural(figures.questions,
        "question")} × ${plural(figures.samples, "sample")}`] : null,
      ["samples", VERDICT_NAMES.map((name) => `${tokens(figures[name] ?? 0)}`
        + ` ${VERDICTS[name].name}`).join(", ") + `, of ${tokens(total)}`],
      isNumber(figures.mean_answer_tokens) ? ["tokens",
        `${significant(figures.mean_reasoning_tokens)} of thought, `
        + `${significant(figures.mean_answer_tokens)} of answer, in the mean`] : null,
      allK("pass@k") ? ["pass@k", allK("pass@k")] : null,
      allK("maj@k") ? ["maj@k", allK("maj@k")] : null,
    ]))),
  groups.length ? el("section", {}, el("h3", {}, "By group, %, the lowest first"),
    el("ul", { class: "groups" }, groups.map(([name, value]) =>
      el("li", {}, el("span", {}, name), el("b", {}, share(value)))))) : null);
}

/** How answers were drawn: temperature, seed, limits. */
function drawn(options) {
  const told = ["temperature", "top_p", "top_k", "min_p", "seed"]
    .filter((name) => isNumber(options?.[name])).map((name) => `${name} ${options[name]}`);
  if (isNumber(options?.max_tokens)) told.push(`at most ${tokens(options.max_tokens)} tokens`);
  return told.join(", ");
}

/** A score says nothing without what was asked. Doubled braces of the template are single ones. */
function askedOf(figures, label) {
  const isOne = !differs("prompt") && !differs("version");
  const ways = new Set(shownResults().map((one) => drawn(one.tasks[state.task].options)));
  const way = ways.size === 1 ? drawn(figures.options) : "";
  return [
    isOne ? null : el("p", { class: "warning" }, "Not all results were asked this: it is what "
      + `${label} was asked.`),
    el("p", {}, el("strong", {}, `${state.task}, version ${figures.version}`),
      figures.source ? `: ${sentence(String(figures.source))}` : ".",
      figures.chance > 0 ? ` Guessing scores ${share(figures.chance)} %.` : "",
      way ? ` Drawn with ${way}.` : ""),
    el("pre", { tabindex: 0, "aria-label": "The prompt" }, (figures.prompt ?? "")
      .replaceAll("{{", "{").replaceAll("}}", "}")),
  ].filter(Boolean);
}

/** Several tasks: scores of all, and their mean where nothing is missing. */
function drawOverview() {
  at("overview").hidden = TASKS.length < 2;
  if (TASKS.length < 2) return;
  const isLeaderboard = TASKS.length === 6 && TASKS.every((task) => task.startsWith("openllm_"));
  const mean = (one) => {
    if (isLeaderboard) return one.openllm_average; // it weighs MMLU's subjects alike
    const all = TASKS.map((task) => score(one, task));
    return all.every(isNumber) ? all.reduce((sum, value) => sum + value, 0) / all.length : null;
  };
  const cell = (one, task) => {
    const range = interval(one, task);
    return el("td", { class: `number${task === state.task ? " chosen" : ""}` },
      share(score(one, task)), range ? el("span", { class: "error" },
        from_to(share, ...range)) : null);
  };
  at("overview").replaceChildren(
    el("div", { class: "over-table" }, el("h2", {}, "All tasks"),
      el("output", {}, "pass@1, %, with intervals of 95 %")),
    el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "All tasks" },
      el("table", { class: "rows" },
        el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Result"), TASKS.map((task) =>
          el("th", { scope: "col", class: "number" }, el("button", { type: "button",
            "aria-pressed": String(task === state.task), onclick: () => chooseTask(task) },
          titleOf(task)))), el("th", { scope: "col", class: "number" }, "Mean"))),
        el("tbody", {}, byBits(RESULTS).map((one) => el("tr", {},
          el("th", { scope: "row", title: one.label }, named(one, one.label)),
          TASKS.map((task) => cell(one, task)),
          el("td", { class: "number strong" }, share(mean(one)))))))));
}
