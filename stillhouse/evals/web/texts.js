// Long texts to be read: their beginning and their end at first, and what is searched for marked.

const LONG = { start: 1200, end: 500, most: 2200 }; // characters; a loop shows at the end
const MOST_MARKS = 500;

/** A text as it is, with what is searched for marked. Never HTML. */
function marked(text, pattern) {
  if (!pattern) return [text];
  const parts = [];
  let last = 0, count = 0;
  for (const found of text.matchAll(pattern)) {
    if (count === MOST_MARKS) break;
    count += 1;
    parts.push(text.slice(last, found.index), el("mark", {}, found[0]));
    last = found.index + found[0].length;
  }
  return [...parts, text.slice(last)];
}

/** A box with a text, cut in its middle past some length until it is asked for. */
function readable(text, pattern, name) {
  const box = el("div", { class: `text ${name}`, dir: "auto" });
  const whole = () => box.replaceChildren(...marked(text, pattern));
  if (text.length <= LONG.most) {
    whole();
    return box;
  }
  const middle = text.slice(LONG.start, -LONG.end);
  const inMiddle = pattern ? [...middle.matchAll(pattern)].length : 0;
  const more = el("button", { type: "button", class: "small more", onclick: whole },
    `Show ${tokens(middle.length)} more characters`
      + (inMiddle ? `, ${tokens(inMiddle)} found in them` : ""));
  box.append(...marked(text.slice(0, LONG.start), pattern), more,
    ...marked(text.slice(-LONG.end), pattern));
  return box;
}

const verdictTag = (verdict) => el("span", { class: `tag verdict-of ${verdict}` },
  `${VERDICTS[verdict]?.sign ?? "?"} ${VERDICTS[verdict]?.name ?? verdict}`);

const part = (title, about, ...children) => el("section", {}, el("h3", {}, title,
  about ? el("span", { class: "quiet" }, ` ${about}`) : null), children);

const problemPart = (one, pattern) => part("Prompt", `${one.task}, ${one.problem},`
  + ` sample ${one.number}`, readable(one.prompt ?? "", pattern, "prompt"));

/** What came of one sample: the grade first, for it says what to look for in the texts. */
function answerParts(one, pattern) {
  const ends = [one.finish_reason ? `finish: ${one.finish_reason}` : null,
    one.thinking_end && one.thinking_end !== "none" ? `thought: ${one.thinking_end}` : null,
    isNumber(one.seed) ? `seed ${one.seed}` : null].filter(Boolean);
  const counts = [["prompt", one.prompt_tokens], ["thought", one.reasoning_tokens],
    ["answer", one.answer_tokens]].filter(([, count]) => isNumber(count))
    .map(([name, count]) => `${tokens(count)} ${name}`);
  const weighed = one.loglikelihoods ?? [], best = Math.max(...weighed.filter(isNumber));
  return [
    el("div", { class: "grade" }, verdictTag(one.verdict),
      el("dl", {}, el("dt", {}, "extracted"), el("dd", {}, one.extracted ?? BLANK),
        el("dt", {}, "gold"), el("dd", {}, one.gold ?? BLANK)),
      one.note ? el("p", { class: "quiet" }, one.note) : null),
    weighed.length ? part("Choices", "log-likelihoods, nats", el("ol", { class: "weighed",
      start: 0 }, weighed.map((value) => el("li", { class: value === best ? "strong" : null },
      isNumber(value) ? value.toFixed(3) : BLANK)))) : null,
    one.reasoning ? part("Thought", `${tokens(one.reasoning_tokens ?? 0)} tokens`,
      readable(one.reasoning, pattern, "thought")) : null,
    part("Answer", `${tokens(one.answer_tokens ?? 0)} tokens`, one.answer
      ? readable(one.answer, pattern, "answer") : el("p", { class: "quiet" }, "There is none.")),
    el("p", { class: "quiet" }, [`tokens: ${counts.join(", ")}`, ...ends].join(" · ")),
  ].filter(Boolean);
}
