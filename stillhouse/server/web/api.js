// What the page asks of the server: OpenAI's routes, and one that closes a thought.

let key = sessionStorage.getItem("stillhouse.key") ?? "";

export function setKey(value) {
  key = value;
  sessionStorage.setItem("stillhouse.key", value);
}

export class ServerError extends Error {
  constructor(message, status, retryAfter) {
    super(message);
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

async function call(path, body, signal) {
  const headers = { "Content-Type": "application/json" };
  if (key) headers.Authorization = `Bearer ${key}`;
  const options = body ? { method: "POST", body: JSON.stringify(body) } : {};
  const response = await fetch(path, { ...options, headers, signal });
  if (response.ok) return response;
  const document = await response.json().catch(() => null);
  const message = document?.error?.message ?? `the server answers ${response.status}`;
  throw new ServerError(message, response.status, response.headers.get("Retry-After"));
}

export async function models() {
  return (await (await call("/v1/models")).json()).data;
}

export async function answerNow(id) {
  await call("/v1/chat/completions/control", { id, action: "reasoning_end" });
}

// The chunks of one reply, as objects.
export async function* chat(body, signal) {
  const response = await call("/v1/chat/completions", body, signal);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let held = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    held += value;
    const events = held.split("\n\n");
    held = events.pop();
    for (const event of events) {
      if (!event.startsWith("data: ")) continue;
      const data = event.slice(6);
      if (data === "[DONE]") return;
      const chunk = JSON.parse(data);
      if (chunk.error) throw new ServerError(chunk.error.message, 500, null);
      yield chunk;
    }
  }
}
