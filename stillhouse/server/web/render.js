// Markdown, code and formulas as safe HTML. What a model writes is never trusted.

import DOMPurify from "./vendor/dompurify/purify.es.mjs";
import hljs from "./vendor/highlightjs/highlight.min.js";
import katex from "./vendor/katex/katex.mjs";
import markdownIt from "./vendor/markdown-it/markdown-it.esm.min.mjs";

const FENCES = [["\\[", "\\]", true], ["\\(", "\\)", false], ["$$", "$$", true], ["$", "$", false]];

const markdown = markdownIt({
  html: false,
  linkify: false,
  highlight(code, language) {
    if (!hljs.getLanguage(language)) return "";
    return hljs.highlight(code, { language, ignoreIllegals: true }).value;
  },
}).disable("image"); // an image would be a request to somebody else

markdown.inline.ruler.before("escape", "formula", (state, silent) => {
  for (const [open, close, display] of FENCES) {
    if (!state.src.startsWith(open, state.pos)) continue;
    const start = state.pos + open.length;
    const end = state.src.indexOf(close, start);
    if (end <= start) continue;
    const tex = state.src.slice(start, end);
    // "$5 and $6" are prices: a formula has no space inside its fences, nor a digit behind them.
    if (open === "$" && (/^\s|\s$/.test(tex) || /\d/.test(state.src[end + 1] ?? ""))) continue;
    if (!silent) {
      const token = state.push("formula", "span", 0);
      token.content = tex;
      token.meta = { display };
    }
    state.pos = end + close.length;
    return true;
  }
  return false;
});
markdown.renderer.rules.formula = (tokens, index) => {
  const { content, meta } = tokens[index];
  const tex = markdown.utils.escapeHtml(content);
  return `<span data-formula="${meta.display ? "display" : "inline"}">${tex}</span>`;
};

export function renderInto(element, text) {
  element.innerHTML = DOMPurify.sanitize(markdown.render(text));
  for (const node of element.querySelectorAll("[data-formula]")) {
    katex.render(node.textContent, node, {
      displayMode: node.dataset.formula === "display",
      throwOnError: false,
      trust: false,
    });
  }
  for (const link of element.querySelectorAll("a")) {
    link.target = "_blank";
    link.rel = "noopener noreferrer";
  }
  for (const block of element.querySelectorAll("pre")) {
    block.firstElementChild?.classList.add("hljs");
    const copy = document.createElement("button");
    copy.type = "button";
    copy.className = "copy";
    copy.textContent = "Copy";
    copy.addEventListener("click", async () => {
      await navigator.clipboard.writeText(block.firstElementChild?.textContent ?? "");
      copy.textContent = "Copied";
      setTimeout(() => (copy.textContent = "Copy"), 1500);
    });
    block.append(copy);
  }
}
