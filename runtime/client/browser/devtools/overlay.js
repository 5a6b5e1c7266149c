/**
 * The devtools inside a page of the app: what its stores, calls and connection are at. Loaded by the dev server's page
 * script when somebody presses Ctrl+Shift+L, or when the page `/__realtime` asks what this page has.
 *
 * Everything is in one shadow root; the app's DOM and its stores are left alone.
 *
 * @module
 */

import { loadClient } from "./client.js";
import { PageState } from "./pagestate.js";
import { StoreView, storeTable } from "./storeview.js";
import { button, chip, clock, duration, element, empty, facts, fill, inline, json, number, setValueMode, Table, valueMode } from "./view.js";

const HEIGHT_KEY = "realtime.devtools.height";
const OPEN_KEY = "realtime.devtools.open";
const REFRESH_MS = 250;
const MIN_HEIGHT = 160;

/** @type {Promise<PageState> | null} */
let loading = null;
/** @type {Overlay | null} */
let overlay = null;
const id = Math.random().toString(36).slice(2);

/** @returns {Promise<PageState>} */
function pageState() {
  loading ??= loadClient().then((client) => {
    const state = new PageState(client);
    state.start();
    return state;
  });
  return loading;
}

/** Show the overlay, or put it away. */
export async function toggle() {
  overlay ??= new Overlay(await pageState());
  overlay.toggle();
}

/**
 * Answer the page `/__realtime`.
 * @param {BroadcastChannel} channel @param {any} message
 */
export async function answer(channel, message) {
  const state = await pageState();
  if (message.kind === "clear" && message.page === id) state.clear();
  const page = state.read(message.page === id ? message.key : undefined);
  if (page) channel.postMessage({ kind: "state", id, page });
}

class Overlay {
  isOpen = false;
  #timer = 0;
  /** @type {Element | null} */
  #focused = null;

  /** @param {PageState} state */
  constructor(state) {
    this.state = state;
    this.host = document.createElement("realtime-devtools");
    this.root = this.host.attachShadow({ mode: "open" });
    this.chosen = "";
    this.drawn = "";
    this.view = new StoreView();
    this.side = element("aside", "", null, { "aria-label": "Details" });
    this.tabs = [
      { id: "streams", title: "Streams", node: this.#streams(), update: (/** @type {any} */ page) => this.#updateStreams(page) },
      { id: "calls", title: "RPC", node: this.#calls(), update: (/** @type {any} */ page) => this.#updateCalls(page) },
      { id: "volatile", title: "Volatile", node: this.#volatile(), update: (/** @type {any} */ page) => this.#updateVolatile(page) },
      { id: "connection", title: "Connection", node: element("div"), update: (/** @type {any} */ page) => this.#updateConnection(page) },
    ];
    this.current = this.tabs[0];
    this.main = element("div", "body", null, { role: "tabpanel", tabindex: "-1" });
    this.status = element("span");
    this.pause = button("Pause", () => this.#pause(), "", { "aria-pressed": "false" });
    this.mode = button("", () => {
      setValueMode(valueMode() === "raw" ? "pretty" : "raw");
      this.view.redraw();
      if (this.current.id !== "streams") fill(this.side, null);
      this.#update();
    }, "", { title: "How values are shown" });
    this.list = element("div", "tabs", this.tabs.map((tab) => button(tab.title, () => this.#open(tab), "", { role: "tab", id: tab.id })), { role: "tablist", "aria-label": "Devtools" });
    this.list.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => this.#onTabKey(event));
    const full = element("a", "", "All of the server", { href: new URL("../../__realtime", import.meta.url).pathname, target: "_blank", rel: "noopener" });
    const bar = element("header", "", [
      element("b", "", "Realtime"), this.list, this.status, element("span", "spacer"), full, this.pause,
      button("Clear", () => this.#clear()), this.mode, button("Close", () => this.toggle(), "", { title: "Ctrl+Shift+L or Escape" }),
    ]);
    this.panel = element("section", "devtools dock", [element("div", "grip", null, { role: "separator", "aria-orientation": "horizontal", "aria-label": "Height of the devtools", tabindex: "0" }), bar, this.main], { "aria-label": "Realtime devtools" });
    this.#resizable(this.panel.firstChild);
    this.panel.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
      if (event.key === "Escape") this.toggle();
      event.stopPropagation(); // the app's own keys are not for us to press
    });
    this.root.append(this.panel);
    this.ready = this.#style();
  }

  async #style() {
    const response = await fetch(new URL("devtools.css", import.meta.url));
    const sheet = new CSSStyleSheet();
    sheet.replaceSync((await response.text()) + DOCK);
    this.root.adoptedStyleSheets = [sheet];
  }

  async toggle() {
    this.isOpen = !this.isOpen;
    remember(sessionStorage, OPEN_KEY, this.isOpen ? "yes" : "");
    if (!this.isOpen) {
      clearInterval(this.#timer);
      this.host.remove();
      /** @type {any} */ (this.#focused)?.focus?.();
      return;
    }
    this.#focused = document.activeElement;
    await this.ready;
    document.documentElement.append(this.host);
    this.#open(this.current);
    this.list.querySelector('[aria-selected="true"]')?.focus();
    this.#timer = setInterval(() => this.#update(), REFRESH_MS);
  }

  /** @param {any} tab */
  #open(tab) {
    this.current = tab;
    for (const one of this.list.children) {
      const isCurrent = one.id === tab.id;
      one.setAttribute("aria-selected", String(isCurrent));
      one.tabIndex = isCurrent ? 0 : -1;
    }
    fill(this.side, null);
    this.chosen = "";
    fill(this.main, element("div", "split", [tab.node, this.side]));
    this.#update();
  }

  /** @param {KeyboardEvent} event */
  #onTabKey(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = this.tabs[(this.tabs.indexOf(this.current) + step + this.tabs.length) % this.tabs.length];
    this.#open(next);
    /** @type {any} */ (this.list.querySelector(`#${next.id}`)).focus();
    event.preventDefault();
  }

  #pause() {
    const { devtools } = this.state;
    devtools.isPaused = !devtools.isPaused;
    this.#update();
  }

  #clear() {
    this.state.clear();
    this.#update();
  }

  #update() {
    const page = this.state.read(this.current.id === "streams" ? this.chosen : undefined);
    this.mode.textContent = valueMode() === "raw" ? "Raw" : "Pretty";
    if (!page) {
      fill(this.main, empty("This page was not loaded by the dev server, so the client keeps nothing."));
      return;
    }
    this.pause.textContent = page.isPaused ? "Go on" : "Pause";
    this.pause.setAttribute("aria-pressed", String(page.isPaused));
    if (this.status.textContent !== page.status) fill(this.status, chip(page.status, page.status === "open" ? "good" : page.status === "failed" ? "bad" : "warn"));
    this.current.update(page);
  }

  // ---------------------------------------------------------------- tabs

  #streams() {
    this.streams = storeTable((stream) => {
      this.chosen = stream.key;
      this.#update();
    });
    return this.streams.node;
  }

  /** @param {any} page */
  #updateStreams(page) {
    this.streams?.update(page.streams);
    const stream = page.streams.find((/** @type {any} */ one) => one.key === this.chosen);
    if (!stream?.history) return;
    this.view.update(stream);
    if (this.side.firstChild !== this.view.node) fill(this.side, this.view.node);
  }

  #calls() {
    const show = (/** @type {any} */ call) => fill(this.side, callDetails(call));
    this.pending = new Table({
      label: "Pending calls",
      none: "No call waits for its answer.",
      key: (call) => call.id,
      onOpen: show,
      rowClass: (call) => (call.age > 5 ? "failed" : ""),
      columns: [
        { title: "Pending", className: "key", of: (call) => call.path },
        { title: "For", className: "num", of: (call) => duration(call.age < 1 ? call.age : Math.floor(call.age)) },
        { title: "Arguments", className: "mono", of: (call) => inline(call.args, 60) },
      ],
    });
    this.answered = new Table({
      label: "Answered calls",
      none: "No call was answered yet.",
      key: (call) => call.key,
      onOpen: show,
      rowClass: (call) => (call.ok ? "" : "failed"),
      columns: [
        { title: "Answered", className: "key", of: (call) => call.path },
        { title: "Result", of: (call) => (call.ok ? chip("ok", "good") : chip(call.result?.code ?? "failed", "bad")) },
        { title: "Took", className: "num", of: (call) => duration(call.duration / 1000) },
        { title: "Arguments", className: "mono", of: (call) => inline(call.args, 50) },
        { title: "Answer", className: "mono", of: (call) => inline(call.result, 50) },
      ],
    });
    return element("div", "", [this.pending.node, element("div", "gap"), this.answered.node]);
  }

  /** @param {any} page */
  #updateCalls(page) {
    this.pending?.update(page.pending);
    this.answered?.update(page.calls.map((/** @type {any} */ call) => ({ ...call, key: String(numberOf(call)) })).reverse());
  }

  #volatile() {
    this.dropped = element("p", "soft");
    this.sent = new Table({
      label: "Calls without an answer",
      none: "Nothing was sent with fireAndForget.",
      key: (call) => call.key,
      onOpen: (call) => fill(this.side, callDetails(call)),
      rowClass: (call) => (call.isDropped ? "failed" : ""),
      columns: [
        { title: "Sent", className: "key", of: (call) => call.path },
        { title: "Time", className: "mono", of: (call) => clock(call.at) },
        { title: "", label: "", of: (call) => call.isDropped && chip("dropped", "bad") },
        { title: "Arguments", className: "mono", of: (call) => inline(call.args, 70) },
      ],
    });
    return element("div", "", [this.dropped, this.sent.node]);
  }

  /** @param {any} page */
  #updateVolatile(page) {
    this.dropped.textContent = `${number(page.volatileDropped)} dropped since the page was loaded`;
    this.sent?.update(page.volatile.map((/** @type {any} */ call) => ({ ...call, key: String(numberOf(call)) })).reverse());
  }

  /** @param {any} page */
  #updateConnection(page) {
    const text = JSON.stringify([page.status, page.failure, page.health, page.counters]);
    if (text === this.drawn && this.current.node.firstChild) return;
    this.drawn = text;
    const counters = Object.entries(page.counters).filter(([, count]) => Number(count) > 0);
    fill(this.current.node, [
      facts([
        ["Status", page.status],
        ["Server", page.health],
        ["Failure", page.failure && element("span", "bad", [page.failure.kind, page.failure.class, page.failure.code ?? page.failure.status, page.failure.reason].filter(Boolean).join(" · "))],
        ["Page", element("span", "mono", page.url)],
      ]),
      element("h3", "", "Dropped or forgotten in this page"),
      counters.length > 0 ? element("div", "chips", counters.map(([name, count]) => chip(`${name} ${number(Number(count))}`, "warn"))) : element("p", "soft", "Nothing."),
    ]);
  }

  /** @param {any} grip */
  #resizable(grip) {
    const set = (/** @type {number} */ height) => {
      const kept = Math.round(Math.min(innerHeight - 40, Math.max(MIN_HEIGHT, height)));
      this.panel.style.height = `${kept}px`;
      remember(localStorage, HEIGHT_KEY, String(kept));
    };
    set(Number(recall(HEIGHT_KEY)) || Math.round(innerHeight * 0.45));
    grip.addEventListener("pointerdown", (/** @type {PointerEvent} */ event) => {
      grip.setPointerCapture(event.pointerId);
      grip.onpointermove = (/** @type {PointerEvent} */ move) => set(innerHeight - move.clientY);
      grip.onpointerup = () => (grip.onpointermove = null);
    });
    grip.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
      const step = { ArrowUp: 32, ArrowDown: -32 }[event.key];
      if (!step) return;
      set(this.panel.offsetHeight + step);
      event.preventDefault();
    });
  }
}

/** @param {any} call @returns {HTMLElement} */
function callDetails(call) {
  return element("div", "panel", [
    element("h2", "mono", call.path),
    element("h3", "", "Arguments"),
    json(call.args),
    ...("result" in call ? [element("h3", "", "Answer"), json(call.result)] : []),
  ]);
}

/** Entries of the client's rings by the order in which they were seen. @type {WeakMap<object, number>} */
const numbers = new WeakMap();
let lastNumber = 0;

/** @param {object} entry @returns {number} */
function numberOf(entry) {
  const known = numbers.get(entry) ?? ++lastNumber;
  numbers.set(entry, known);
  return known;
}

/** @param {Storage} storage @param {string} key @param {string} value */
function remember(storage, key, value) {
  try {
    storage.setItem(key, value);
  } catch {
    // full, or not to be written: it holds until the page is left
  }
}

/** @param {string} key @returns {string | null} */
function recall(key) {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

const DOCK = `
:host { all: initial; position: fixed; inset: auto 0 0 0; z-index: 2147483000; display: block }
.dock { display: flex; flex-direction: column; border-top: 1px solid var(--line); box-shadow: 0 -6px 24px rgb(0 0 0 / 18%); color-scheme: light dark }
.dock .grip { height: 6px; cursor: ns-resize; background: var(--raised); touch-action: none; flex: none }
.dock > header { display: flex; flex-wrap: wrap; gap: 6px 10px; align-items: center; padding: 2px 12px 8px; background: var(--raised); border-bottom: 1px solid var(--line) }
.dock > header .spacer { flex: 1 }
.dock a { color: var(--accent) }
.dock .tabs { display: flex; gap: 2px }
.dock .tabs button { border-color: transparent; background: none }
.dock .tabs button[aria-selected="true"] { background: var(--accent-soft); color: var(--accent); font-weight: 600 }
.dock .body { overflow: auto; padding: 12px; flex: 1 }
.dock .split > aside { max-height: none; position: static }
.dock .split:has(> aside:empty) { grid-template-columns: minmax(0, 1fr) }
.gap { height: 12px }
`;
