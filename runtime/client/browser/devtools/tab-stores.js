/**
 * The tab of stores: what the open pages of this browser hold. Each page of the app answers on a broadcast channel,
 * where the dev server's page script listens; the stores that the forms of this page opened are shown as well.
 *
 * @module
 */

import { button, chip, element, empty, fill, number } from "./view.js";
import { loadedClient } from "./client.js";
import { PageState } from "./pagestate.js";
import { StoreView, storeTable } from "./storeview.js";

/** Name of the broadcast channel, with the path below which the app is mounted. */
export const CHANNEL = "realtime-devtools";
const MAX_AGE_MS = 6000;
const OWN = "own";
const ASK_MS = 500;

export class StoresTab {
  id = "stores";
  title = "Stores";

  /** @param {import("./feed.js").Feed} feed */
  constructor(feed) {
    this.feed = feed;
    /** @type {Map<string, {at: number, page: any}>} */
    this.pages = new Map();
    this.chosen = { page: "", key: "" };
    /** @type {PageState | null} */
    this.own = null;
    this.channel = new BroadcastChannel(CHANNEL + new URL("../..", import.meta.url).pathname);
    this.channel.onmessage = ({ data }) => this.#receive(data);
    /** @type {Map<string, {node: HTMLElement, head: HTMLElement, table: any}>} */
    this.shown = new Map();
    this.list = element("div");
    this.none = empty("No open page of this app answers. Open one in this browser, under the dev server.");
    this.view = new StoreView();
    this.side = element("aside", "", null, { "aria-label": "Store" });
    this.node = element("section", "", [
      element("p", "soft", "The pages of the app that are open in this browser, and what their stores hold."),
      element("div", "split", [element("div", "", [this.none, this.list]), this.side]),
    ]);
    setInterval(() => this.#ask(), ASK_MS);
  }

  /** Values are shown in another way from now on. */
  redraw() {
    this.view.redraw();
  }

  count() {
    this.#forget();
    let count = 0;
    for (const { page } of this.pages.values()) count += page.streams.length;
    return count;
  }

  #ask() {
    if (document.hidden || !this.node.isConnected) return; // nobody looks
    this.channel.postMessage({ kind: "ask", page: this.chosen.page, key: this.chosen.key });
    const client = loadedClient();
    if (client) {
      if (!this.own) {
        this.own = new PageState(client);
        this.own.start();
      }
      const page = this.own.read(this.chosen.page === OWN ? this.chosen.key : undefined);
      if (page) this.#receive({ kind: "state", id: OWN, page: { ...page, title: "This page: what its forms opened" } });
    }
    this.update();
  }

  /** @param {any} message */
  #receive(message) {
    if (message?.kind !== "state" || this.feed.isPaused) return;
    this.pages.set(message.id, { at: Date.now(), page: message.page });
  }

  /** Pages that answer no more are gone. */
  #forget() {
    if (this.feed.isPaused) return;
    for (const [id, { at }] of this.pages) if (Date.now() - at > MAX_AGE_MS) this.pages.delete(id);
  }

  update() {
    this.#forget();
    this.none.hidden = this.pages.size > 0;
    for (const [id, { node }] of this.shown) {
      if (this.pages.has(id)) continue;
      node.remove();
      this.shown.delete(id);
    }
    for (const [id, { page }] of this.pages) {
      const shown = this.shown.get(id) ?? this.#add(id);
      const text = JSON.stringify([page.title, page.url, page.status, page.pending.length, page.streams.length]);
      if (text !== shown.head.dataset.text) {
        shown.head.dataset.text = text;
        fill(shown.head, [
          element("h2", "", page.title || page.url),
          element("span", "mono soft", page.url),
          chip(page.status, page.status === "open" ? "good" : "warn"),
          element("span", "soft", `${number(page.streams.length)} stores, ${number(page.pending.length)} calls pending`),
        ]);
      }
      shown.table.update(page.streams);
    }
    const stream = this.pages.get(this.chosen.page)?.page.streams.find((/** @type {any} */ one) => one.key === this.chosen.key);
    if (stream?.history) {
      this.view.update(stream);
      if (!this.view.node.isConnected) fill(this.side, this.view.node);
    } else if (!stream && this.side.firstChild !== null) fill(this.side, null);
  }

  /** @param {string} id */
  #add(id) {
    const head = element("div", "head");
    const table = storeTable((stream) => {
      for (const [other, { table: one }] of this.shown) if (other !== id) one.select("");
      this.chosen = { page: id, key: stream.key };
      this.#ask();
    });
    const clear = button("Clear", () => (id === OWN ? this.own?.clear() : this.channel.postMessage({ kind: "clear", page: id })), "plain");
    const node = element("div", "page-stores", [element("div", "head", [head, clear]), table.node]);
    const shown = { node, head, table };
    this.shown.set(id, shown);
    this.list.append(node);
    return shown;
  }
}
