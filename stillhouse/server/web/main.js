// The page: chats on the left, one of them on the right, and the reply that is coming.

import * as api from "./api.js";
import { Chats } from "./store.js";
import { ReplyView, emptyView, userView } from "./views.js";

const BUDGETS = [0, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, null];
const at = (id) => document.getElementById(id);
const chats = new Chats(localStorage);
let served = [];
let running = null; // { abort, id } of the reply that is coming

// Theme

function setTheme(name) {
  document.documentElement.dataset.theme = name;
  at("code-dark").disabled = name !== "dark";
  at("code-light").disabled = name === "dark";
}
const prefersDark = matchMedia("(prefers-color-scheme: dark)");
const chosenTheme = () => localStorage.getItem("stillhouse.theme");
setTheme(chosenTheme() ?? (prefersDark.matches ? "dark" : "light"));
prefersDark.addEventListener("change", (event) => {
  if (!chosenTheme()) setTheme(event.matches ? "dark" : "light");
});
at("theme").addEventListener("click", () => {
  const name = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  localStorage.setItem("stillhouse.theme", name);
  setTheme(name);
});

// Settings of the next question

function budget() {
  return BUDGETS[at("budget").value];
}
function showSettings() {
  const isOff = at("think").value === "off";
  at("budget").disabled = isOff;
  const tokens = budget();
  at("budget-text").textContent = isOff ? "–" : tokens === null ? "no limit" : `${tokens} tokens`;
  at("budget").setAttribute("aria-valuetext", at("budget-text").textContent);
  localStorage.setItem("stillhouse.think", at("think").value);
  localStorage.setItem("stillhouse.budget", at("budget").value);
}
at("think").value = localStorage.getItem("stillhouse.think") ?? "auto";
at("budget").value = localStorage.getItem("stillhouse.budget") ?? BUDGETS.length - 1;
at("think").addEventListener("change", showSettings);
at("budget").addEventListener("input", showSettings);
showSettings();

function question(messages) {
  const body = {
    model: at("model").value,
    messages: messages.map(({ role, content }) => ({ role, content })),
    stream: true,
    stream_options: { include_usage: true },
  };
  const think = at("think").value;
  if (think !== "auto") body.chat_template_kwargs = { enable_thinking: think === "on" };
  if (think !== "off" && budget() !== null) body.thinking_token_budget = budget();
  return body;
}

// Notices

function notice(text, action, onAction) {
  const box = at("notice");
  box.replaceChildren(text);
  box.hidden = !text;
  if (!action) return;
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = action;
  button.addEventListener("click", () => {
    notice("");
    onAction();
  });
  box.append(button);
}
function askForKey(onKey) {
  notice("This server asks for an API key.", "Use it", () => {
    api.setKey(field.value);
    onKey();
  });
  const field = document.createElement("input");
  field.type = "password";
  field.setAttribute("aria-label", "API key");
  at("notice").lastChild.before(field);
  field.focus();
}
function complain(error, again) {
  if (error.status === 401) {
    askForKey(again);
    return;
  }
  const wait = error.retryAfter ? ` Room again in about ${error.retryAfter} s.` : "";
  notice(`${error.message}.${wait}`, "Try again", again);
}

// Models

async function loadModels() {
  try {
    served = await api.models();
  } catch (error) {
    complain(error, loadModels);
    return;
  }
  const before = at("model").value;
  at("model").replaceChildren(...served.map(({ id }) => new Option(id.split("/").pop(), id)));
  if (before) at("model").value = before;
  showFacts();
}
function showFacts() {
  const facts = served.find(({ id }) => id === at("model").value)?.stillhouse;
  const parts = [];
  if (facts?.quantization) parts.push(facts.quantization);
  if (facts?.context_tokens) parts.push(`${facts.context_tokens.toLocaleString("en")} tokens of context`);
  at("facts").textContent = parts.join(" · ");
}
at("model").addEventListener("change", showFacts);

// The list of chats

function drawList() {
  at("chats").replaceChildren(...chats.list.map(listItem));
}
function listItem(chat) {
  const item = document.createElement("li");
  item.classList.toggle("current", chat === chats.current);
  const button = (className, text, label, onClick) => {
    const element = document.createElement("button");
    element.type = "button";
    element.className = className;
    element.textContent = text;
    if (label) element.setAttribute("aria-label", label);
    element.addEventListener("click", onClick);
    return element;
  };
  const title = button("title", chat.title, "", () => openChat(chat.id));
  if (chat === chats.current) title.setAttribute("aria-current", "true");
  const rename = button("small", "✎", `Rename ${chat.title}`, () => {
    const field = document.createElement("input");
    field.value = chat.title;
    field.setAttribute("aria-label", "Title");
    const done = () => {
      chats.rename(chat.id, field.value);
      drawList();
    };
    field.addEventListener("blur", done);
    field.addEventListener("keydown", (event) => event.key === "Enter" && field.blur());
    item.replaceChildren(field);
    field.focus();
  });
  const remove = button("small", "×", `Delete ${chat.title}`, () => {
    if (chat === chats.current) stop();
    chats.remove(chat.id);
    drawAll();
  });
  item.append(title, rename, remove);
  return item;
}
function openChat(id) {
  stop();
  chats.open(id);
  showSidebar(false);
  drawAll();
}
function newChat() {
  stop();
  chats.begin();
  showSidebar(false);
  drawAll();
  at("prompt").focus();
}
function showSidebar(isOpen) {
  at("sidebar").classList.toggle("open", isOpen);
  at("veil").hidden = !isOpen;
  at("menu").setAttribute("aria-expanded", String(isOpen));
}
at("new-chat").addEventListener("click", newChat);
at("menu").addEventListener("click", () => showSidebar(true));
at("veil").addEventListener("click", () => showSidebar(false));

// The conversation

function drawAll() {
  drawList();
  const { messages } = chats.current;
  const lastUser = messages.findLastIndex(({ role }) => role === "user");
  const views = messages.map((message, index) =>
    message.role === "user"
      ? userView(message, index === lastUser ? () => edit(index) : null)
      : new ReplyView(message).element,
  );
  at("messages").replaceChildren(...(views.length ? views : [emptyView()]));
  at("messages").scrollTop = at("messages").scrollHeight;
}
function edit(index) {
  stop();
  at("prompt").value = chats.current.messages[index].content;
  chats.current.messages.splice(index);
  chats.save();
  drawAll();
  grow();
  at("prompt").focus();
}
function save() {
  if (!chats.save()) notice("This browser has no room for more chats: delete some of them.");
}

async function send(text) {
  const chat = chats.current;
  if (!chat.messages.length) chat.title = text.slice(0, 60);
  chat.messages.push({ role: "user", content: text });
  await reply(chat);
}
async function reply(chat) {
  const message = { role: "assistant", content: "", reasoning: "", state: "waiting", thoughtTokens: 0 };
  const body = question(chat.messages.filter(({ role, content }) => role === "user" || content));
  message.budget = body.thinking_token_budget ?? null;
  chat.messages.push(message);
  drawAll();
  const box = at("messages");
  const view = new ReplyView(message, () => running && api.answerNow(running.id).catch(() => {}));
  box.lastChild.replaceWith(view.element);
  const mine = { abort: new AbortController(), id: null };
  running = mine;
  showRunning(true);
  try {
    for await (const chunk of api.chat(body, mine.abort.signal)) {
      mine.id = chunk.id;
      const isAtEnd = box.scrollHeight - box.scrollTop - box.clientHeight < 80;
      take(message, chunk);
      view.drawSoon();
      if (isAtEnd) box.scrollTop = box.scrollHeight;
    }
    message.state = "done";
  } catch (error) {
    if (error.name === "AbortError") {
      message.state = "stopped";
    } else {
      message.state = "failed";
      chat.messages.pop();
      view.element.remove();
      complain(error, () => reply(chat));
    }
  }
  if (running === mine) {
    running = null;
    showRunning(false);
  }
  view.draw();
  box.scrollTop = box.scrollHeight;
  save();
  drawList();
}
function take(message, { choices: [choice], usage, timings }) {
  if (usage) {
    message.usage = usage;
    // Pieces were counted while it came; one may hold several tokens, or none.
    message.thoughtTokens = usage.completion_tokens_details?.reasoning_tokens ?? message.thoughtTokens;
  }
  if (timings) message.timings = timings;
  if (!choice) return;
  const { reasoning_content: thought, content } = choice.delta;
  if (thought) {
    message.startedAt ??= performance.now();
    message.state = "thinking";
    message.reasoning += thought;
    message.thoughtTokens += 1;
    message.thoughtMs = performance.now() - message.startedAt;
  }
  if (content) {
    message.state = "answering";
    message.content += content;
  }
  if (choice.stillhouse) {
    message.thinkingEnd = choice.stillhouse.thinking_end;
    message.finish = choice.stillhouse.finish_reason;
    if (message.state === "thinking") message.state = "answering";
  }
}
function stop() {
  running?.abort.abort();
  running = null;
  showRunning(false);
}
function showRunning(isRunning) {
  at("stop").hidden = !isRunning;
  at("send").hidden = isRunning;
}

// Keys and the form

function grow() {
  const prompt = at("prompt");
  prompt.style.height = "auto";
  prompt.style.height = `${prompt.scrollHeight}px`;
}
at("prompt").addEventListener("input", grow);
at("prompt").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    at("composer").requestSubmit();
  }
});
at("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = at("prompt").value.trim();
  if (!text || running) return;
  notice("");
  at("prompt").value = "";
  grow();
  send(text);
});
at("stop").addEventListener("click", stop);
addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    if (at("sidebar").classList.contains("open")) showSidebar(false);
    else stop();
  }
  if (event.key.toLowerCase() === "k" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    newChat();
  }
});
addEventListener("beforeunload", save);

drawAll();
loadModels();
at("prompt").focus();
