// Tables whose headers sort. A column has `key`, `name` and `get`, what is sorted by; one with
// `show` is of numbers; `most`: the first click puts the largest first;
// `fixed`: it stays while the table scrolls.

const isNumeric = (column) => Boolean(column.show);
const inAlphabet = (a, b) => a.localeCompare(b, "en", { numeric: true });

/** Blanks stand last, both ways; equals stay in the order they have. */
function sortedBy({ get }, descending, rows) {
  const sign = descending ? -1 : 1;
  return [...rows].sort((a, b) => {
    const [one, other] = [get(a) ?? null, get(b) ?? null];
    if (one === null || other === null) return (one === null) - (other === null);
    return sign * (typeof one === "number" ? one - other : inAlphabet(one, other));
  });
}

/** `state` has `sort`, a column's key, and `descending`; a click changes them and draws anew. */
function drawSortableHead(table, columns, state, redraw) {
  const cells = columns.map((column) => {
    const sorted = state.sort === column.key;
    const choose = () => {
      state.descending = sorted ? !state.descending : Boolean(column.most);
      state.sort = column.key;
      redraw();
      table.querySelector(`th[data-key="${column.key}"] button`).focus();
    };
    const arrow = el("span", { class: "arrow", "aria-hidden": true },
      sorted ? (state.descending ? "▼" : "▲") : "");
    return el("th", { scope: "col", "data-key": column.key,
      class: isNumeric(column) ? "number" : column.fixed ? "fixed" : null,
      "aria-sort": sorted ? (state.descending ? "descending" : "ascending") : "none" },
    el("button", { type: "button", title: column.title, onclick: choose }, column.name, arrow),
    column.unit ? el("span", { class: "unit" }, column.unit) : null);
  });
  table.tHead.replaceChildren(el("tr", {}, cells));
}
