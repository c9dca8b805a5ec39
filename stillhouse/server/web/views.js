// Messages as elements. A reply's view is written again while it comes, at most so often.

import { renderInto } from "./render.js";

const AGAIN_MS = 80;
const ENDS = {
  natural: "",
  budget: "closed at its budget",
  loop: "closed: it went in circles",
  context: "closed to leave room for the answer",
  client: "answered on your word",
};

function make(tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}

export function userView(message, onEdit) {
  const view = make("div", "user", message.content);
  if (onEdit) {
    const edit = make("button", "edit", "Edit");
    edit.type = "button";
    edit.addEventListener("click", onEdit);
    view.append(edit);
  }
  return view;
}

export function emptyView() {
  const view = make("div", "empty");
  view.append(make("strong", "", "Think it through, here."));
  view.append("Nothing you write leaves this machine.");
  return view;
}

export class ReplyView {
  constructor(message, onAnswerNow) {
    this.message = message;
    this.element = make("article", "reply");
    this.thought = make("details", "thought");
    this.thought.hidden = true;
    const summary = make("summary");
    this.name = make("span", "name");
    this.meter = make("span", "quiet");
    this.progress = make("progress");
    this.progress.setAttribute("aria-label", "Share of the thinking budget");
    this.answerNow = make("button", "answer-now", "Answer now");
    this.answerNow.type = "button";
    this.answerNow.addEventListener("click", (event) => {
      event.preventDefault();
      onAnswerNow?.();
    });
    summary.append(this.name, this.progress, this.meter, this.answerNow);
    summary.addEventListener("click", () => (this.wasTouched = true));
    this.thoughtText = make("div", "text");
    this.thought.append(summary, this.thoughtText);
    this.answer = make("div", "text answer");
    this.figures = make("div", "figures");
    this.element.append(this.thought, this.answer, this.figures);
    this.due = null;
    this.draw();
  }

  // Soon, and once for all that comes until then.
  drawSoon() {
    this.due ??= setTimeout(() => this.draw(), AGAIN_MS);
  }

  draw() {
    clearTimeout(this.due);
    this.due = null;
    const message = this.message;
    this.drawThought(message);
    if (this.shown !== message.content) {
      renderInto(this.answer, message.content);
      this.shown = message.content;
    }
    this.figures.textContent = message.error ?? figuresOf(message);
  }

  drawThought(message) {
    const isLive = message.state === "thinking";
    const has = Boolean(message.reasoning) || isLive;
    this.thought.hidden = !has;
    if (!has) return;
    if (!this.wasTouched && this.wasLive !== isLive) this.thought.open = isLive;
    this.wasLive = isLive;
    this.thought.classList.toggle("live", isLive);
    this.answerNow.hidden = !isLive;
    this.name.textContent = isLive ? "Thinking" : "Thought";
    const budget = message.budget;
    this.progress.hidden = !isLive || budget === null || budget === undefined;
    if (!this.progress.hidden) {
      this.progress.max = Math.max(budget, 1);
      this.progress.value = message.thoughtTokens;
    }
    const of = isLive && budget ? ` of ${budget}` : "";
    const seconds = `${((message.thoughtMs ?? 0) / 1000).toFixed(1)} s`;
    const end = isLive ? "" : ENDS[message.thinkingEnd] ?? "";
    this.meter.textContent = [`${message.thoughtTokens ?? 0}${of} tokens`, seconds, end]
      .filter(Boolean)
      .join(" · ");
    if (this.thoughtShown !== message.reasoning) {
      const atEnd = this.thoughtText.scrollHeight - this.thoughtText.scrollTop < 360;
      renderInto(this.thoughtText, message.reasoning);
      this.thoughtShown = message.reasoning;
      if (atEnd) this.thoughtText.scrollTop = this.thoughtText.scrollHeight;
    }
  }
}

function figuresOf({ usage, timings, finish, state }) {
  if (state === "stopped") return "stopped";
  if (!usage) return "";
  const parts = [`${usage.completion_tokens} tokens`];
  const thought = usage.completion_tokens_details?.reasoning_tokens;
  if (thought) parts[0] += ` (${thought} thought)`;
  if (timings?.predicted_per_second) parts.push(`${timings.predicted_per_second.toFixed(1)} tok/s`);
  if (timings?.ttft_ms) parts.push(`first token after ${(timings.ttft_ms / 1000).toFixed(2)} s`);
  if (finish === "length") parts.push("cut off at the maximum of tokens");
  if (finish === "loop") parts.push("stopped: it went in circles");
  return parts.join(" · ");
}
