// The page: which view and series are shown, and the table that the plots lead to.

const first = bestOf(CELLS);
const state = {
  view: Math.max(0, VIEWS.findIndex((view) => view.cells.includes(first))), hidden: new Set(),
  sort: null, descending: false, opened: new Set(), all: false,
};

const ui = {
  throughput: "linear", measure: "ttft_s",
  loads: Object.fromEntries(VIEWS.map((view) => {
    const best = bestOf(view.cells);
    return [view.name, best && isNumber(loadOf(best)) ? loadOf(best) : view.loads.at(-1)];
  })),
  choose: (name) => (value) => {
    ui[name] = value;
    drawPlots();
  },
  chooseLoad: (view, load) => {
    ui.loads[view.name] = load;
    drawPlots();
    at("cdf").querySelector("select").focus();
  },
  show: (cell) => {
    state.opened.add(cell.number);
    drawTable();
    const row = at("table").querySelector(`tr[data-number="${cell.number}"]`);
    row.scrollIntoView({ block: "center" });
    row.querySelector("button").focus({ preventScroll: true });
  },
};

const viewNow = () => VIEWS[state.view];
const cellsNow = () => (viewNow()?.cells ?? []).filter((cell) => !state.hidden.has(cell.series));

function drawControls() {
  const select = VIEWS.length > 1 ? el("label", {}, el("span", {}, "Workload"),
    el("select", { name: "view", onchange: (event) => {
      state.view = Number(event.target.value);
      drawLegend();
      draw();
    } }, VIEWS.map((view, n) => el("option", { value: n, selected: n === state.view },
      view.name)))) : null;
  at("filters").append(...[select, el("div", { id: "legend", role: "group",
    "aria-label": "Series: press to hide or show" })].filter(Boolean));
  at("filters").addEventListener("submit", (event) => event.preventDefault());
  at("columns").addEventListener("click", () => {
    state.all = !state.all;
    at("columns").setAttribute("aria-pressed", String(state.all));
    drawTable();
  });
}

function drawLegend() {
  const there = new Set((viewNow()?.cells ?? []).map((cell) => cell.series));
  at("legend").replaceChildren(...SERIES.filter(({ n }) => there.has(n)).map((series) => {
    const button = el("button", { type: "button", class: "series", onclick: () => {
      if (!state.hidden.delete(series.n)) state.hidden.add(series.n);
      button.setAttribute("aria-pressed", String(!state.hidden.has(series.n)));
      draw();
    }, "aria-pressed": String(!state.hidden.has(series.n)) }, markOf(series), series.name);
    return button;
  }));
}

function drawPlots() {
  const view = viewNow(), cells = cellsNow();
  at("plots").hidden = !view;
  if (!view) return;
  drawThroughput(at("throughput"), view, cells, ui);
  drawPareto(at("pareto"), view, cells, ui);
  drawWaiting(at("ttft"), "ttft_s", view, cells, ui);
  drawWaiting(at("ttfat"), "ttfat_s", view, cells, ui);
  drawDistribution(at("cdf"), view, cells, ui);
  drawShares(at("roofline"), view, cells, ui);
}

function drawTable() {
  const cells = cellsNow(), columns = COLUMNS.filter((column) => state.all || column.main);
  const by = columns.find((column) => column.key === state.sort);
  drawSortableHead(at("table"), columns, state, drawTable);
  const toggle = (cell) => {
    if (!state.opened.delete(cell.number)) state.opened.add(cell.number);
    drawTable();
    at("table").querySelector(`tr[data-number="${cell.number}"] button`)
      .focus({ preventScroll: true });
  };
  at("table").tBodies[0].replaceChildren(...(by ? sortedBy(by, state.descending, cells) : cells)
    .flatMap((cell) => rowsOf(cell, columns, state, toggle)));
  const all = viewNow()?.cells.length ?? 0;
  at("count").textContent = `${cells.length === all ? "" : `${cells.length} of `}${all} cells`;
}

function draw() {
  drawHead(viewNow(), cellsNow());
  drawPlots();
  drawTable();
}

drawControls();
drawLegend();
drawFindings();
drawFoot();
keepTheme();
draw();
onNewWidth(drawPlots);
