// The page: which task is shown, and what is drawn again when that changes.

const state = { task: TASKS[0] ?? null, sort: null, descending: false, opened: new Set() };
const ui = { speed: "tokens", budget: "budget", choose: (name) => (value) => {
  ui[name] = value;
  drawPlots();
} };
const shownResults = () => RESULTS.filter((one) => one.tasks[state.task]);

/** From a mark to its row, opened. */
function openRow(one) {
  state.opened.add(one.n);
  drawScores();
  const row = at("table").querySelector(`tr[data-n="${one.n}"]`);
  row.scrollIntoView({ block: "center" });
  row.querySelector("button").focus({ preventScroll: true });
}

function chooseTask(task) {
  state.task = task;
  for (const input of document.querySelectorAll('select[name="task"]')) input.value = task;
  draw();
  reader.follow(task);
}

function drawTaskChoice() {
  at("filters").hidden = TASKS.length < 2;
  if (TASKS.length < 2) return;
  at("filters").append(select("task", "Task", TASKS.map((task) => [task, titleOf(task)]),
    state.task, chooseTask));
  at("filters").addEventListener("submit", (event) => event.preventDefault());
}

function drawPlots() {
  at("plots").hidden = !state.task;
  if (!state.task) return;
  drawAccuracy(at("accuracy"));
  drawOutcomes(at("outcomes"));
  drawBits(at("bits"));
  drawSpeed(at("speed"));
  drawBudgets(at("budget"));
}

function draw() {
  drawOverview();
  drawScores();
  drawRecovery();
  drawPlots();
}

drawHead();
drawTaskChoice();
drawFoot();
keepTheme();
const reader = makeReader();
draw();
onNewWidth(drawPlots);
