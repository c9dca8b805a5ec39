// Accuracy against the thinking budget: as it was set, or as many tokens as were thought of it.

/** A budget's place on an axis of logarithms: none at all stands right of all, 0 left of them. */
function budgetAxis(shown, { left, right }) {
  const finite = [...new Set(shown.map((one) => one.thinking_budget).filter(isNumber))]
    .sort((a, b) => a - b);
  const positive = finite.filter((budget) => budget > 0);
  const steps = positive.map(Math.log2);
  const gap = steps.length > 1 ? Math.max(1, (steps.at(-1) - steps[0]) / (steps.length - 1)) : 1;
  const first = steps[0] ?? 0, last = steps.at(-1) ?? 0;
  const place = (budget) => (!isNumber(budget) ? last + gap : budget > 0 ? Math.log2(budget)
    : first - gap);
  const hasNone = shown.some((one) => !isNumber(one.thinking_budget));
  const ticks = [...finite, ...(hasNone ? [null] : [])], places = ticks.map(place);
  const at_ = scale(Math.min(...places) - gap * 0.3, Math.max(...places) + gap * 0.3, left, right);
  return { at: (budget) => at_(place(budget)), ticks, text: budgetText, apart: 34,
    name: "thinking budget, tokens (log)" };
}

function thoughtAxis(shown, { left, right }) {
  const values = shown.map((one) => one.tasks[state.task].mean_reasoning_tokens);
  const most = Math.max(...values) * 1.06 || 1;
  return { at: scale(0, most, left, right), ticks: linearTicks(most, 6), text: tokens,
    name: "tokens of thought, mean" };
}

function drawBudgets(holder) {
  const isThought = ui.budget === "thought";
  const shown = scored().filter((one) => !isThought
    || isNumber(one.tasks[state.task].mean_reasoning_tokens));
  holder.hidden = new Set(shown.map((one) => one.thinking_budget ?? null)).size < 2;
  if (holder.hidden) return;
  const groups = SERIES_MARKS.map((series) => [series,
    shown.filter((one) => seriesOf(one) === series)]).filter(([, own]) => own.length);
  const name = ([one]) => [one.model, one.quantization, one.url].filter((_, n) => n === 1
    || new Set(RESULTS.map((each) => [each.model, "", each.url][n])).size > 1)
    .filter(Boolean).join(" ") || one.model;
  const keys = groups.map(([series, own]) => el("span", { class: "named" }, markOf(series),
    name(own)));
  const choices = oneOf("budget", "Axis", [["budget", "budget"], ["thought", "tokens thought"]],
    ui.budget, ui.choose("budget"));
  fill(holder, "Accuracy against thinking budget", keys, (hint) => {
    const width = widthOf(holder), box = boxOf(width), y = scoreAxis(shown, box);
    const x = (isThought ? thoughtAxis : budgetAxis)(shown, box);
    const value = (one) => (isThought ? one.tasks[state.task].mean_reasoning_tokens
      : one.thinking_budget);
    const drawing = drawingOf(width, PLOT_HEIGHT, "Accuracy against thinking budget");
    drawAxes(drawing, box, x, y);
    for (const [series, own] of groups) {
      own.sort((a, b) => (a.thinking_budget ?? Infinity) - (b.thinking_budget ?? Infinity));
      const edge = (n) => own.filter((one) => interval(one, state.task)).map((one) =>
        [x.at(value(one)), y.at(interval(one, state.task)[n])]);
      drawing.append(svg("path", { class: `band ${series.colour}`,
        d: `${pathOf([...edge(1), ...edge(0).reverse()])}Z` }),
      svg("path", { class: `curve ${series.colour}`, "data-series": series.n,
        d: pathOf(own.map((one) => [x.at(value(one)), y.at(score(one, state.task))])) }));
    }
    for (const one of groups.flatMap(([, own]) => own)) {
      drawing.append(scoreMark(one, x.at(value(one)), y, hint, () => [
        `budget: ${budgetText(one.thinking_budget)}`,
        `thought: ${significant(one.tasks[state.task].mean_reasoning_tokens)} tokens, mean`]));
    }
    return roving(drawing);
  }, ["Up is better.", beginsAt(scoreRange(shown))].filter(Boolean).join(" "), [choices]);
}
