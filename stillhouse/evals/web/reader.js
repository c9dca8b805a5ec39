// The reader: samples that filters leave, in a list at the left, and one or two of them beside it.

const PAUSE_MS = 150; // of typing, before all texts are searched

const select = (name, title, choices, chosen, react) => el("label", {}, title,
  el("select", { name, onchange: (event) => react(event.target.value) },
    choices.map(([value, text]) => el("option", { value, selected: value === chosen }, text))));
const signOf = (verdict) => el("span", { class: `verdict-sign ${verdict}`,
  title: VERDICTS[verdict]?.name }, VERDICTS[verdict]?.sign ?? "?");
const firstLine = (text) => (text ?? "").trim().slice(0, 160);

function makeReader() {
  const wanted = { task: "", label: "", verdict: "", text: "", change: "", isPair: false,
    a: SAMPLE_LABELS[0], b: SAMPLE_LABELS.at(-1) };
  const shown = el("article", { class: "shown", tabindex: -1, "aria-label": "The sample" });
  const count = el("output", { class: "quiet", "aria-live": "polite" });
  const form = el("form", { class: "filters", onsubmit: (event) => event.preventDefault() });
  const list = lazyList("Samples", rowOf, choose);
  let pattern = null, found = [];

  function rowOf(item) {
    const one = item.a ?? item;
    const signs = item.a ? [signOf(item.a.verdict), "→", signOf(item.b.verdict)]
      : [signOf(one.verdict)];
    return [el("span", { class: "row-head" }, el("span", { class: "signs" }, signs),
      el("b", {}, `${wanted.task || SAMPLE_TASKS.length < 2 ? "" : `${one.task} `}${one.problem}`),
      el("span", { class: "quiet" }, `#${one.number}`),
      item.a ? null : el("span", { class: "quiet of" }, shortOf(one.label))),
    el("span", { class: "row-text" }, firstLine(one.prompt))];
  }

  function choose(item) {
    const one = item.a ?? item;
    const column = (each) => el("div", { class: "came" }, el("h2", {}, each.label),
      answerParts(each, pattern));
    shown.replaceChildren(problemPart(one, pattern), siblings(item), item.a
      ? el("div", { class: "columns" }, column(item.a), column(item.b)) : column(one));
    shown.scrollTop = 0;
  }

  /** What became of the same problem everywhere: a row a label, a sign a sample. */
  function siblings(item) {
    const here = item.a ? [item.a, item.b] : [item], all = siblingsOf(here[0]);
    if (all.length === 1 && all[0][1].length === 1) return "";
    const button = (one) => el("button", { type: "button", class: `verdict-sign ${one.verdict}`,
      "aria-pressed": String(here.includes(one)), onclick: () => choose(one),
      title: `${one.label}, sample ${one.number}: ${VERDICTS[one.verdict]?.name ?? one.verdict}` },
    VERDICTS[one.verdict]?.sign ?? "?");
    return el("section", { class: "siblings" }, el("h3", {}, "This problem"),
      all.map(([label, own]) => el("div", {}, el("span", { class: "quiet" }, shortOf(label)),
        own.map(button))));
  }

  const counts = () => {
    if (!wanted.isPair) return `${tokens(found.length)} of ${plural(SAMPLES.length, "sample")}`;
    const of = (change) => found.filter((pair) => pair.change === change).length;
    return `${plural(found.length, "pair")}: ${tokens(of("lost"))} lost, ${tokens(of("gained"))}`
      + " gained";
  };

  function search() {
    pattern = patternOf(wanted.text);
    found = wanted.isPair ? pairsLike({ ...wanted, pattern }) : samplesLike({ ...wanted, pattern });
    count.textContent = counts();
    list.show(found);
    if (found.length) list.pick(0);
    else shown.replaceChildren(el("p", { class: "none" }, "No sample is like that."));
  }

  const change = (name) => (value) => {
    wanted[name] = value;
    search();
  };

  function drawForm() {
    const any = ["", "any"], labels = SAMPLE_LABELS.map((label) => [label, label]);
    let waiting;
    const text = el("input", { type: "search", name: "text", value: wanted.text,
      autocomplete: "off", placeholder: "prompt, thought, answer", oninput: (event) => {
        clearTimeout(waiting);
        waiting = setTimeout(() => change("text")(event.target.value), PAUSE_MS);
      } });
    const filters = wanted.isPair
      ? [select("a", "First", labels, wanted.a, change("a")),
        select("b", "then", labels, wanted.b, change("b")),
        select("change", "What changed", [any, ...CHANGES], wanted.change, change("change"))]
      : [select("label", "Result", [any, ...labels], wanted.label, change("label")),
        select("verdict", "Verdict", [any, ...VERDICT_NAMES.map((name) =>
          [name, `${VERDICTS[name].sign} ${VERDICTS[name].name}`])], wanted.verdict,
        change("verdict"))];
    form.replaceChildren(...[
      SAMPLE_TASKS.length > 1 ? select("reader-task", "Task", [any, ...SAMPLE_TASKS.map((task) =>
        [task, titleOf(task)])], wanted.task, change("task")) : null,
      ...filters, el("label", { class: "wide" }, "Search", text)].filter(Boolean));
  }

  function show(changes) {
    Object.assign(wanted, changes);
    mode.replaceChildren(...(hasPairs ? [oneOf("mode", "Samples", [["one", "one by one"],
      ["pair", "side by side"]], wanted.isPair ? "pair" : "one",
    (value) => show({ isPair: value === "pair" }))] : []));
    drawForm();
    search();
  }

  function go(changes) {
    if (!SAMPLES.length) return;
    show({ text: "", change: "", ...changes });
    isUsed();
    at("reader").scrollIntoView({ block: "start" });
    list.holder.focus({ preventScroll: true });
  }

  const isUsed = () => at("reader").classList.add("used"); // then it is printed as well
  for (const name of ["pointerdown", "keydown"]) at("reader").addEventListener(name, isUsed);
  const isTyping = (target) => target.closest?.("input:not([type=radio]), select, textarea");
  document.addEventListener("keydown", (event) => {
    if (!SAMPLES.length || event.ctrlKey || event.metaKey || event.altKey) return;
    if (isTyping(event.target)) return;
    const step = { j: 1, k: -1 }[event.key];
    if (step) list.move(step);
    else if (event.key === "/") form.querySelector("[name=text]").focus();
    else return;
    event.preventDefault();
    isUsed();
    at("reader").scrollIntoView({ block: "nearest" });
  });

  const mode = el("div", { class: "mode" }), left = DOCUMENT.samples_left_out ?? 0;
  at("reader").hidden = !SAMPLES.length && !left;
  at("reader").append(
    el("div", { class: "reader-head" }, el("h2", {}, "Samples"), mode, count,
      SAMPLES.length ? el("span", { class: "quiet keys-of" }, el("kbd", {}, "j"), " next, ",
        el("kbd", {}, "k"), " back, ", el("kbd", {}, "/"), " search") : null),
    left ? el("p", { class: "left-out" }, `${plural(left, "sample")} not in this page, to keep it`
      + " small. First kept are those on which results differ, then those that none got right."
      + (DOCUMENT.folder ? ` All are in ${DOCUMENT.folder}.` : "")) : "",
    ...(SAMPLES.length ? [form, el("div", { class: "read" }, list.holder, shown)] : []));
  if (SAMPLES.length) show({});
  return {
    find: (label, verdict) => go({ isPair: false, task: state.task, label, verdict }),
    compare: (a, b, task) => go({ isPair: true, task, a, b }),
    follow: (task) => { if (SAMPLES.length && wanted.task) show({ task }); },
  };
}
