// What stands first: what the best cheap quantisation keeps, and what was measured on what.

const KEEPS = 0.95; // of the score: what keeps less is not called cheap, however few the samples

/** For each label that was compared: its comparisons, the mean recovery, and whether it lost. */
function candidates() {
  const labels = [...new Set(COMPARISONS.map((one) => one.b))];
  return labels.map((label) => {
    const own = COMPARISONS.filter((one) => one.b === label && isNumber(one.recovery));
    const result = resultOf(label), base = resultOf(own[0]?.a);
    const recovery = own.reduce((sum, one) => sum + one.recovery, 0) / own.length;
    return { label, own, result, base, recovery, hasLost: own.some((one) => one.high < 0),
      ...costOf(result, base, own.map((one) => one.task)) };
  }).filter((one) => one.own.length && one.result && one.base);
}

/** Null where one of both is not known: null divided by a number is 0 in JavaScript. */
const ratioOf = (one, base) => (isNumber(one) && isNumber(base) && base > 0 ? one / base : null);

/** What it takes of what the baseline takes: bytes, bits, or tokens where those are the same. */
function costOf(result, base, tasks) {
  for (const [name, what] of [["file_bytes", "size"], ["bits_per_weight", "bits"]]) {
    const cost = ratioOf(result?.[name], base?.[name]);
    if (cost !== null && cost !== 1) return { cost, what };
  }
  const spent = (one, task) => {
    const { mean_reasoning_tokens: thought, mean_answer_tokens: answer } = one?.tasks[task] ?? {};
    return isNumber(thought) && isNumber(answer) ? thought + answer : null;
  };
  const known = tasks.map((task) => [spent(result, task), spent(base, task)])
    .filter((both) => both.every(isNumber));
  const sum = (n) => known.reduce((all, both) => all + both[n], 0);
  const cost = hasBudgets ? ratioOf(sum(0), sum(1)) : null;
  return cost === null ? { cost } : { cost, what: "tokens" };
}

/** The cheapest that shows no loss and keeps enough; or else the one that keeps most. */
function bestCandidate() {
  const all = candidates(), cheaper = all.filter((one) => one.cost < 1 && one.cost !== null);
  const good = cheaper.filter((one) => !one.hasLost && one.recovery >= KEEPS);
  return least(good, (one) => one.cost) ?? greatest(cheaper.length ? cheaper : all,
    (one) => one.recovery) ?? null;
}

function drawHead() {
  at("title").textContent = TASKS.length
    ? `Evaluation: ${TASKS.map(titleOf).join(", ")}` : "Evaluation: no results";
  const warnings = DOCUMENT.warnings ?? [];
  const best = bestCandidate();
  const about = best ? keptSummary(best) : TASKS.length ? scoreSummary() : [
    el("h2", {}, "Nothing was evaluated")];
  at("head").append(
    el("div", { class: "card pick" }, about, warnings.length ? el("ul", { class: "notes warning" },
      warnings.map((text) => el("li", {}, sentence(text)))) : null),
    el("div", { class: "card facts" }, el("h2", {}, "Measured"), measured()));
}

function keptSummary({ label, own, result, base, recovery, cost, what }) {
  const [first] = own, one = own.length === 1;
  const worst = least(own, (each) => each.recovery);
  const cheap = isNumber(cost) ? ` in ${(cost * 100).toFixed(0)}\u00a0% of its ${what}` : "";
  const place = one ? titleOf(first.task) : plural(own.length, "task");
  return [
    el("p", { class: "over" }, place),
    el("h2", { class: "headline" }, `${shortOf(label)} keeps ${share(recovery)}\u00a0% of`
      + ` ${shortOf(first.a)}'s score${cheap}`),
    el("div", { class: "stats" },
      stat(share(recovery), " %", !one ? `kept, the mean of ${place}`
        : isNumber(first.recovery_high) ? `kept: ${from_to(share, first.recovery_low,
          first.recovery_high)} %` : "kept, without limits"),
      one ? stat(share(score(result, first.task)), " %",
        `pass@1; ${shortOf(first.a)} ${share(score(base, first.task))} %`)
        : stat(share(worst.recovery), " %", `the least: ${titleOf(worst.task)}`),
      isNumber(result.bits_per_weight) ? stat(result.bits_per_weight.toFixed(2), " bits",
        isNumber(base.bits_per_weight) ? `a weight, of ${base.bits_per_weight.toFixed(2)}`
          : "a weight") : null,
      isNumber(result.file_bytes) ? stat(gigabytes(result.file_bytes), " GB",
        isNumber(base.file_bytes) ? `of ${gigabytes(base.file_bytes)}` : "file") : null),
    el("p", {}, one ? "" : `${titleOf(worst.task)}, where it keeps least: `,
      meaning(worst) === "same" ? `${points(worst.difference)} points, ${worst.verdict}.`
        : sentence(worst.verdict)),
  ];
}

/** Where nothing was compared: the highest score. */
function scoreSummary() {
  const [task] = TASKS, best = greatest(RESULTS, (one) => score(one, task));
  if (!best) return [el("h2", {}, "No sample was graded")];
  const figures = best.tasks[task], total = samplesOf(figures);
  const name = best.label === best.model ? best.model : `${best.model}, ${best.label},`;
  return [
    el("p", { class: "over" }, titleOf(task)), // of several tasks the first: the rest are below
    el("h2", { class: "headline" }, RESULTS.length > 1
      ? `${shortOf(best.label)} scores most: ${share(figures["pass@1"])}\u00a0%`
      : `${name.replace(/,$/, "")} gets ${share(figures["pass@1"])}\u00a0% right`),
    el("div", { class: "stats" },
      stat(share(figures["pass@1"]), " %", `pass@1: ${from_to(share, ...(figures.interval
        ?? []))} %`),
      stat(tokens(total), "", `samples of ${plural(figures.questions, "question")}`),
      isNumber(figures.tokens_per_correct) ? stat(significant(figures.tokens_per_correct), "",
        "tokens for each right answer") : null,
      isNumber(figures.seconds_per_correct) ? stat(seconds(figures.seconds_per_correct), "",
        "for each right answer") : null),
  ];
}

function measured() {
  const { machine, date, folder } = DOCUMENT;
  const all = (name) => [...new Set(RESULTS.map((one) => one[name]).filter(Boolean))];
  const { physical_cores: cores, total_memory_bytes: memory } = machine ?? {};
  const figures = RESULTS.flatMap((one) => Object.values(one.tasks));
  const spent = RESULTS.reduce((sum, one) => sum + (one.duration_s ?? 0), 0);
  return facts([
    ["model", all("model").join(", ") || BLANK],
    ["engine", [...all("engine"), ...all("url")].join(", ") || "unknown"],
    machine ? ["machine", [machine.cpu || "unknown processor",
      isNumber(cores) ? plural(cores, "core") : null,
      isNumber(memory) ? bytesText(memory) : null].filter(Boolean).join(", ")] : null,
    date ? ["date", String(date)] : null,
    ["asked", `${plural(figures.reduce((sum, one) => sum + samplesOf(one), 0), "sample")} in`
      + ` ${plural(RESULTS.length, "run")}${spent ? `, ${seconds(spent)}` : ""}`],
    folder ? ["folder", String(folder)] : null,
  ]);
}

function drawFoot() {
  const { stillhouse, commit } = DOCUMENT;
  const made = ["Stillhouse", stillhouse, commit ? `(${String(commit).slice(0, 10)})` : null]
    .filter(Boolean).join(" ");
  at("foot").append(el("p", {}, "pass@1 is the mean over questions of the share of samples that are"
    + " right; intervals are of 95 %, for other questions like these. Of the two standard errors"
    + " the first is of sampling the same questions again, the second of asking others like them."
    + ` Differences are taken question by question. Made by ${made}.`));
}
