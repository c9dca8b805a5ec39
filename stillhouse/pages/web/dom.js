// Elements and figures as people read them. All text goes in as text, never as HTML.

const element = (make) => (tag, properties = {}, ...children) => {
  const node = make(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
};
const el = element((tag) => document.createElement(tag));
const svg = element((tag) => document.createElementNS("http://www.w3.org/2000/svg", tag));
const at = (id) => document.getElementById(id);
const DOCUMENT = JSON.parse(at("document").textContent);

const BLANK = "–";
const isNumber = (value) => typeof value === "number" && Number.isFinite(value);
const orBlank = (format) => (value) => (isNumber(value) ? format(value) : BLANK);

/** Three significant figures at least: 5.31, 48.2, 317, 8,831; 0 is 0. */
const figure = orBlank((value) => {
  const digits = value === 0 ? 0 : [9.995, 99.95].filter((limit) => Math.abs(value) < limit).length;
  const both = { minimumFractionDigits: digits, maximumFractionDigits: digits };
  return value.toLocaleString("en", both);
});
const gigabytes = orBlank((bytes) => figure(bytes / 1e9));
const percent = orBlank((share) => (share * 100).toFixed(1));

const bytesText = orBlank((bytes) => {
  let power = 0;
  for (; Math.abs(bytes) >= 999.5 && power < 4; power += 1) bytes /= 1000;
  return `${power ? figure(bytes) : bytes} ${["B", "kB", "MB", "GB", "TB"][power]}`;
});

const seconds = orBlank((value) => {
  if (value < 0.9995) return `${(value * 1000).toFixed(0)} ms`;
  if (value < 59.95) return `${value.toFixed(1)} s`;
  const whole = Math.round(value), minutes = Math.floor(whole / 60);
  const two = (number) => String(number).padStart(2, "0");
  if (minutes < 60) return `${minutes} min ${two(whole % 60)} s`;
  return `${Math.floor(minutes / 60).toLocaleString("en")} h ${two(minutes % 60)} min`;
});

const usd = orBlank((value) => {
  if (value >= 1000) return `$${value.toLocaleString("en", { maximumFractionDigits: 0 })}`;
  return `$${value >= 0.1 ? value.toFixed(2) : Number(value.toPrecision(1))}`;
});

const sentence = (text) =>
  text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");

/** A command in a box, with a button that copies it. */
function commandBox(text) {
  const code = el("code", {}, text);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
    } catch { // a page that is a file may not be let to
      getSelection().selectAllChildren(code);
      if (!document.execCommand("copy")) return;
    }
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  };
  const button = el("button", { type: "button", class: "copy", onclick: copy }, "Copy");
  return el("div", { class: "command" }, code, button);
}

const tokens = (count) => count.toLocaleString("en");
/** Names and values, one pair a line; what is null is left out. */
const facts = (pairs, name) => el("dl", { class: name }, pairs.filter(Boolean)
  .map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));

/** A figure in large type over what it is. */
const stat = (value, unit, name) => el("div", { class: "stat" },
  el("strong", {}, value, el("small", {}, unit)), el("span", {}, name));

/** The button for dark and light, which remembers what was chosen. */
function keepTheme() {
  const root = document.documentElement, name = "stillhouse.theme";
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches);
  try {
    if (localStorage.getItem(name)) root.dataset.theme = localStorage.getItem(name);
  } catch { /* a page that is a file may keep nothing */ }
  at("theme").addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    try {
      localStorage.setItem(name, root.dataset.theme);
    } catch { /* as above */ }
  });
}
