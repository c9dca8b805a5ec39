// What is behind one row: where its numbers come from.

const section = (title, ...children) => el("section", {}, el("h3", {}, title), ...children);

function detailOf(o) {
  const speed = o.speed?.length ? el("ul", {}, o.speed.map((text) => el("li", {}, sentence(text))))
    : el("p", {}, "It does not fit, so no speed is predicted.");
  const cost = o.cost && [
    [o.cost.electricity_usd_per_1000, "electricity"], [o.cost.rental_usd_per_1000, "rent"],
  ].filter(([value]) => isNumber(value)).map(([value, what]) => `${usd(value)} ${what}`).join(", ");
  return el("div", { class: "detail" },
    section("Memory", memoryBar(o.memory), memoryTable(o.memory)),
    el("div", { class: "columns" },
      section("Speed", speed),
      el("div", {},
        section("Placement", el("p", {}, verdictMark(o.verdict), `: ${o.reason}.`),
          el("p", { class: "quiet" }, [`KV cache in ${o.kv_type}`,
            `file of ${bytesText(o.file_bytes)}`, `weights ${o.weights_source}`]
            .filter((text) => !text.endsWith("undefined")).map(sentence).join(" "))),
        section("Quality", el("p", {}, sentence(o.quality.source))),
        o.cost ? section("Cost of 1,000 answers",
          el("p", {}, cost || "Neither its power nor a rent is known."),
          el("p", { class: "quiet" }, o.cost.how)) : null)),
    section("Command", commandBox(o.command)));
}

function memoryBar(tree) {
  const bar = el("div", { class: "stack", role: "img", "aria-label": `of ${bytesText(tree.bytes)}: `
    + (tree.parts ?? []).map((p) => `${p.name} ${bytesText(p.bytes)}`).join(", ") });
  for (const part of tree.parts ?? []) {
    const piece = el("span", { class: partClass(part.name),
      title: `${part.name}: ${bytesText(part.bytes)}` });
    piece.style.flexGrow = part.bytes;
    if (part.bytes > 0.12 * tree.bytes) piece.textContent = part.name;
    bar.append(piece);
  }
  return bar;
}

function memoryTable(tree) {
  const rows = [];
  const walk = (part, depth) => {
    const name = el("th", { scope: "row" },
      depth === 1 ? key(partClass(part.name), part.name) : part.name);
    name.style.paddingLeft = `${0.4 + depth * 1.1}rem`;
    const about = { class: depth ? null : "total", "data-depth": depth, "data-bytes": part.bytes };
    rows.push(el("tr", about, name, el("td", { class: "number" }, bytesText(part.bytes)),
      el("td", { class: "number" }, `${(100 * part.bytes / tree.bytes).toFixed(1)} %`),
      el("td", { class: "how" }, part.how)));
    for (const child of part.parts ?? []) walk(child, depth + 1);
  };
  walk(tree, 0);
  return el("table", { class: "tree" }, el("tbody", {}, rows));
}
