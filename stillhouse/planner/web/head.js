// What stands around the table: the recommendation, the system, filters, the foot, dark and light.

const MOST_SYSTEMS = 6;

function drawHead(document_, options, devices, plan) {
  const { workload, recommendation, more_memory: more } = document_;
  const several = devices.length > 1, crowd = workload.users > 1;
  at("title").textContent = several ? `Plan: ${plan.titles.join(", ")} on ${devices.length} systems`
    : `Plan: ${devices[0].name}`;
  at("head").append(
    recommendation ? recommended(recommendation, options.find(plan.isBest), document_, plan)
      : nothingRuns(options, more),
    el("div", { class: "card facts" },
      several ? systemsFacts(devices) : systemFacts(devices[0], options, document_.machine),
      el("h2", {}, "Workload"),
      facts([
        ["Question", `${tokens(workload.prompt_tokens)} prompt`
          + ` + ${tokens(workload.thinking_tokens)} thinking`
          + ` + ${tokens(workload.answer_tokens)} answer tokens`],
        ["Users", tokens(workload.users) + (crowd ? " at the same time" : "")],
        ["Context", `${tokens(workload.context_tokens)} tokens${crowd ? " each" : ""}`],
        document_.goal ? ["Ranked for", document_.goal] : null,
      ])));
}

function recommended(best, option, document_, plan) {
  const has = option && plan.capacity(option);
  const each = plan.users > 1 ? "each user writes" : "it writes";
  const stats = option ? [
    isNumber(option.quality.aime_2024)
      ? stat(scoreText(option.quality.aime_2024, option), " %", "expected AIME 2024") : null,
    stat(figure(plan.each(option)), " tok/s", each),
    stat(seconds(option.time_to_answer_s), "", "to the answer"),
    stat(gigabytes(option.memory.bytes), has ? ` of ${figure(has / 1e9)} GB` : " GB", "memory"),
    isNumber(leastCost(option)) ? stat(usd(leastCost(option)), "", "1,000 answers") : null,
  ] : [];
  return el("div", { class: "card pick" },
    el("p", { class: "over" }, "Recommended",
      plan.deviceNames.length > 1 ? ` on ${best.device}` : ""),
    el("h2", {}, option?.title ?? best.model, " ", el("span", { class: "tag" }, best.quantization),
      option ? verdictMark(option.verdict) : null),
    el("div", { class: "stats" }, stats),
    el("p", {}, sentence(best.reason)),
    commandBox(best.command),
    moreMemory(document_.more_memory));
}

function nothingRuns(options, more) {
  const smallest = [...options].sort((a, b) => a.memory.bytes - b.memory.bytes)[0];
  return el("div", { class: "card pick" },
    el("p", { class: "over" }, "Recommended"), el("h2", {}, "Nothing fits"),
    smallest ? el("p", {}, `The smallest, ${smallest.title} ${smallest.quantization}: `
      + sentence(smallest.reason)) : null,
    moreMemory(more));
}

const moreMemory = (text) => (text
  ? el("p", { class: "more" }, el("strong", {}, "With 8 GB more: "), text) : null);

function systemFacts(device, options, machine) {
  const engines = [...new Set(options.filter((o) => o.engine).map((o) => o.engine))];
  const many = device.count > 1 ? `${device.count} × ` : "";
  return [el("h2", {}, "System"), facts([
    ["Name", device.name],
    device.is_measured && machine?.cpu ? ["Processor", machine.cpu] : null,
    ["Memory", many + bytesText(device.memory_bytes)
      + (isNumber(device.ram_bytes) ? `, and ${bytesText(device.ram_bytes)} of main memory` : "")],
    ["Bandwidth", `${many}${bytesText(device.read_bytes_per_s)}/s`
      + (device.is_measured ? ", measured here" : ", as published")],
    isNumber(device.operations_per_s)
      ? ["Arithmetic", `${many}${figure(device.operations_per_s / 1e12)} tera-operations/s`] : null,
    ["Engines", engines.join(", ") || device.engine],
  ]), ...[device.memory_note, ...(device.notes ?? [])].filter(Boolean)
    .map((text) => el("p", { class: "quiet" }, sentence(text)))];
}

function systemsFacts(devices) {
  return [el("h2", {}, "Systems"), facts(devices.slice(0, MOST_SYSTEMS).map((device) =>
    [device.name, `${bytesText(device.memory_bytes * device.count)}, `
      + `${bytesText(device.read_bytes_per_s)}/s${device.is_measured ? ", measured" : ""}`]),
  "systems"),
  devices.length > MOST_SYSTEMS
    ? el("p", { class: "quiet" }, `and ${devices.length - MOST_SYSTEMS} more`) : null]
    .filter(Boolean);
}

function drawFilters(plan, uniqueOf, redraw) {
  const choice = (name, title, values) => el("label", {}, el("span", {}, title),
    el("select", { name }, values.map(([value, text]) => el("option", { value }, text))));
  const plain = (name) => [["", "any"], ...uniqueOf(name)
    .sort((a, b) => a.localeCompare(b, "en", { numeric: true })).map((value) => [value, value])];
  const clear = el("button", { type: "reset" }, "Clear");
  at("filters").append(
    el("label", { class: "wide" }, el("span", {}, "Search"),
      el("input", { name: "text", type: "search" })),
    choice("verdict", "Verdict",
      [["", "any"], ["runs", "runs at all"], ...Object.entries(VERDICTS)]),
    choice("model", "Model", plain("title")),
    choice("quantization", "Quantisation", plain("quantization")),
    ...(plan.deviceNames.length > 1 ? [choice("device", "System", plain("device"))] : []),
    el("label", {}, el("span", {}, "Min tok/s"),
      el("input", { name: "least", type: "number", min: 0, step: "any" })),
    clear, el("output", { id: "count", "aria-live": "polite" }));
  at("filters").addEventListener("input", redraw);
  at("filters").addEventListener("submit", (event) => event.preventDefault());
  at("filters").addEventListener("reset", () => setTimeout(redraw));
}

function drawFoot({ stillhouse, commit, machine }) {
  const made = ["Stillhouse", stillhouse, commit ? `(${String(commit).slice(0, 10)})` : null,
    machine?.cpu ? `on ${machine.cpu}` : null].filter(Boolean).join(" ");
  at("foot").append(el("p", {}, "Speeds are predicted by a roofline fitted to published runs;"
    + " scores are published ones times what the quantisation is known to keep."
    + ` ≈: known of another size. Made by ${made}.`));
}
