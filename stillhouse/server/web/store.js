// Chats, kept in this browser and nowhere else.

const KEY = "stillhouse.chats";

export class Chats {
  constructor(storage) {
    this.storage = storage;
    try {
      this.list = JSON.parse(storage.getItem(KEY)) ?? [];
    } catch {
      this.list = [];
    }
    this.current = this.list[0] ?? this.begin();
  }

  begin() {
    const empty = this.list.find((chat) => !chat.messages.length);
    const fresh = { id: crypto.randomUUID?.() ?? String(Date.now()), title: "New chat", messages: [] };
    this.current = empty ?? fresh;
    if (!empty) this.list.unshift(this.current);
    return this.current;
  }

  open(id) {
    this.current = this.list.find((chat) => chat.id === id) ?? this.current;
  }

  rename(id, title) {
    const chat = this.list.find((one) => one.id === id);
    if (chat && title.trim()) chat.title = title.trim();
    this.save();
  }

  remove(id) {
    this.list = this.list.filter((chat) => chat.id !== id);
    if (this.current.id === id) this.current = this.list[0] ?? this.begin();
    this.save();
  }

  // False where the browser has no room for more.
  save() {
    try {
      this.storage.setItem(KEY, JSON.stringify(this.list.filter((chat) => chat.messages.length)));
      return true;
    } catch {
      return false;
    }
  }
}
