// A list of which only the rows in sight are in the page: it may have any number of them.

const ROW_HEIGHT = 54; // as in the style sheet
const SPARE_ROWS = 6;

/** `rowOf(item)` gives a row's children, `choose(item)` shows it. Gives `show(items)`, `move(step)`
 * and `pick(place)`; the list takes the arrow keys when it has the focus. */
function lazyList(name, rowOf, choose) {
  const rows = el("div", { class: "rows-of", role: "presentation" });
  const holder = el("div", { class: "list", tabindex: 0, role: "listbox", "aria-label": name },
    rows);
  let items = [], active = -1;

  const draw = () => {
    const first = Math.max(0, Math.floor(holder.scrollTop / ROW_HEIGHT) - SPARE_ROWS);
    const last = Math.min(items.length,
      Math.ceil((holder.scrollTop + holder.clientHeight) / ROW_HEIGHT) + SPARE_ROWS);
    rows.replaceChildren(...Array.from({ length: Math.max(0, last - first) }, (_, n) => {
      const place = first + n;
      const row = el("div", { class: "row", role: "option", id: `row-${place}`,
        "aria-selected": String(place === active), "aria-setsize": items.length,
        "aria-posinset": place + 1, onclick: () => pick(place) }, rowOf(items[place]));
      row.style.top = `${place * ROW_HEIGHT}px`;
      return row;
    }));
  };

  const pick = (place) => {
    if (!items.length) return;
    active = Math.max(0, Math.min(items.length - 1, place));
    const top = active * ROW_HEIGHT, room = holder.clientHeight;
    if (top < holder.scrollTop) holder.scrollTop = top;
    if (top + ROW_HEIGHT > holder.scrollTop + room) holder.scrollTop = top + ROW_HEIGHT - room;
    draw();
    holder.setAttribute("aria-activedescendant", `row-${active}`);
    choose(items[active]);
  };

  const move = (step) => pick(active + step);
  holder.addEventListener("scroll", () => requestAnimationFrame(draw));
  holder.addEventListener("keydown", (event) => {
    const page = Math.max(1, Math.floor(holder.clientHeight / ROW_HEIGHT) - 1);
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -items.length,
      End: items.length }[event.key];
    if (!step || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    move(step);
  });
  new ResizeObserver(draw).observe(holder);

  const show = (shown) => {
    items = shown;
    active = -1;
    rows.style.height = `${items.length * ROW_HEIGHT}px`;
    holder.scrollTop = 0;
    holder.removeAttribute("aria-activedescendant");
    draw();
  };
  return { holder, show, move, pick };
}
