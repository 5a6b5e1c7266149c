/**
 * The page script of `realtime dev`: it listens to the dev server and shows what went wrong.
 *
 * The server puts it into every HTML page. It keeps one WebSocket to `/__realtime/dev` beside the app's own, and
 * acts on what comes: `error` shows an overlay, `ok` takes it away, `css` swaps style sheets in place, `page` reloads.
 * A failed call whose reply carries a traceback (event `realtime:error` of the client) shows a toast.
 *
 * It never touches the app's DOM: everything is in one shadow root, all text goes through `textContent`, and when
 * the dev server is gone nothing happens but quiet attempts to reach it again.
 *
 * Sections: 1 connection, 2 style sheets, 3 page reload, 4 surface, 5 overlay, 6 toasts, 7 start.
 *
 * @module
 */

/**
 * @typedef {{file: string, line: number | null, column: number | null, errorType: string, message: string,
 *   hint: string, excerpt: Array<[number, string]>, traceback: string}} Problem
 * @typedef {{path: string, code: string, message: string, traceback: string}} CallError
 */

/** First and longest wait before the dev server is tried again. */
const RETRY_MS = 100;
const RETRY_MAX_MS = 1000;
const RETRY_FACTOR = 1.5;
/** An error that is announced this soon after connecting is one the page may know already. */
const GREETING_MS = 1000;
/** A reloaded page gets this long to grow to its old height before its scroll position is given up. */
const SCROLL_RESTORE_MS = 3000;
const SCROLL_KEY = "realtime.dev.scroll";
/** Toasts at a time, and problems drawn in one overlay. */
const MAX_TOASTS = 4;
const MAX_PROBLEMS = 20;
/** A swapped style sheet that neither loads nor fails is given up after this long. */
const SWAP_TIMEOUT_MS = 10_000;
const SWAP_PARAMETER = "realtime-dev";
const DEV_FLAG = Symbol.for("realtime.dev");

/** Path of the app that serves this script, without a slash at its end: "" or "/prefix". */
const MOUNT = new URL("..", import.meta.url).pathname.replace(/\/$/, "");

// ====================================================================================================
// 1. Connection
// ====================================================================================================

let retryDelay = RETRY_MS;
let connectedAt = 0;
/** What stands for the web files that this page shows, from the dev server that it met first. @type {unknown} */
let webFiles;

function connect() {
  const address = new URL("dev", import.meta.url);
  address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
  let socket;
  try {
    socket = new WebSocket(address);
  } catch {
    return; // no WebSocket here: the page works without this script
  }
  socket.onopen = () => {
    retryDelay = RETRY_MS;
    connectedAt = performance.now();
  };
  socket.onmessage = (message) => receive(message.data);
  socket.onclose = () => {
    setTimeout(connect, retryDelay);
    retryDelay = Math.min(retryDelay * RETRY_FACTOR, RETRY_MAX_MS);
  };
}

/** @param {unknown} text */
function receive(text) {
  let frame;
  try {
    frame = JSON.parse(/** @type {string} */ (text));
  } catch {
    return;
  }
  switch (frame?.kind) {
    case "hello": // files may have changed while there was no dev server to say so
      if (webFiles !== undefined && frame.web !== webFiles) reloadPage();
      webFiles = frame.web;
      break;
    case "error":
      if (Array.isArray(frame.problems)) overlay.show(frame.problems, performance.now() - connectedAt < GREETING_MS);
      break;
    case "ok":
      overlay.clear();
      break;
    case "css":
      if (Array.isArray(frame.paths)) swapStyles(frame.paths.map(String));
      webFiles = frame.web;
      break;
    case "page":
      reloadPage();
      break;
    case "stubs":
      toasts.clearCollapsed();
      break;
  }
}

// ====================================================================================================
// 2. Style sheets: the new one is loaded beside the old one, which goes when the new one is there
// ====================================================================================================

/** Swaps under way, by the link that is to be replaced. @type {Map<HTMLLinkElement, HTMLLinkElement>} */
const swaps = new Map();

/** @param {string[]} paths changed files, as paths below the app */
async function swapStyles(paths) {
  const links = styleLinks();
  const changed = new Set();
  for (const path of paths) {
    const matching = links.filter((link) => isPathOf(link, path));
    if (matching.length === 0) await refetch(path); // imported by another sheet: have it in the cache, then renew all
    for (const link of matching.length > 0 ? matching : links) changed.add(link);
  }
  for (const link of changed) swapLink(link);
}

/** @returns {HTMLLinkElement[]} the style sheets of this origin that are in use */
function styleLinks() {
  /** @type {NodeListOf<HTMLLinkElement>} */
  const links = document.querySelectorAll('link[rel~="stylesheet"][href]');
  const incoming = new Set(swaps.values());
  return [...links].filter((link) => !incoming.has(link) && new URL(link.href).origin === location.origin);
}

/** @param {HTMLLinkElement} link @param {string} path */
function isPathOf(link, path) {
  const { pathname } = new URL(link.href);
  return pathname === path || pathname === MOUNT + path;
}

/** @param {string} path */
async function refetch(path) {
  try {
    await fetch(MOUNT + path, { cache: "reload" });
  } catch {
    // the sheets are renewed all the same
  }
}

/** @param {HTMLLinkElement} link */
function swapLink(link) {
  swaps.get(link)?.remove();
  const next = /** @type {HTMLLinkElement} */ (link.cloneNode());
  const address = new URL(link.href);
  address.searchParams.set(SWAP_PARAMETER, Date.now().toString(36));
  next.href = address.href;
  swaps.set(link, next);
  const end = (/** @type {boolean} */ isLoaded) => {
    clearTimeout(timer);
    if (swaps.get(link) !== next) return;
    swaps.delete(link);
    (isLoaded ? link : next).remove();
  };
  const timer = setTimeout(() => end(false), SWAP_TIMEOUT_MS);
  next.onload = () => end(true);
  next.onerror = () => end(false);
  link.after(next);
}

// ====================================================================================================
// 3. Page reload that keeps the place, also when the content comes later
// ====================================================================================================

function reloadPage() {
  try {
    sessionStorage.setItem(SCROLL_KEY, JSON.stringify({ url: location.href, x: scrollX, y: scrollY }));
  } catch {
    // no storage: the browser's own memory of the place has to do
  }
  location.reload();
}

function restoreScroll() {
  const place = takePlace();
  if (place === null || place.url !== location.href || (place.x === 0 && place.y === 0)) return;
  const deadline = performance.now() + SCROLL_RESTORE_MS;
  let isGivenUp = false;
  const giveUp = () => (isGivenUp = true);
  for (const event of ["wheel", "touchstart", "keydown", "pointerdown"]) {
    addEventListener(event, giveUp, { once: true, passive: true });
  }
  const attempt = () => {
    if (isGivenUp) return;
    scrollTo({ left: place.x, top: place.y, behavior: "instant" });
    const isThere = Math.abs(scrollY - place.y) < 2 && Math.abs(scrollX - place.x) < 2;
    if (!isThere && performance.now() < deadline) requestAnimationFrame(attempt);
  };
  requestAnimationFrame(attempt);
}

/** @returns {{url: string, x: number, y: number} | null} the place kept by the page before, once */
function takePlace() {
  try {
    const text = sessionStorage.getItem(SCROLL_KEY);
    sessionStorage.removeItem(SCROLL_KEY);
    return text === null ? null : JSON.parse(text);
  } catch {
    return null;
  }
}

// ====================================================================================================
// 4. Surface: one element with a shadow root, above everything of the page
// ====================================================================================================

const STYLE = `
:host { /* important: the page's own rules for "*" must not reach it */
  all: initial !important; position: fixed !important; inset: 0 !important; overflow: visible !important;
  pointer-events: none !important; z-index: 2147483647 !important; display: block !important;
  color-scheme: light dark !important;
  --ink: #1d2129; --soft: #5c6470; --panel: #fff; --code: #f6f7f9; --edge: #dfe3e8; --shade: rgb(20 24 32 / 45%);
  --red: #c4242b; --red-back: #fdecec; --mark: #ffe3e3; --hint: #0b5fb0; --hint-back: #eaf3fc; --ring: #2f7de1;
  --mono: ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace;
  --sans: system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
}
@media (prefers-color-scheme: dark) {
  :host {
    --ink: #e7eaf0; --soft: #9aa4b2; --panel: #1b1f27; --code: #12151b; --edge: #323945; --shade: rgb(0 0 0 / 62%);
    --red: #ff7b7b; --red-back: #3a1d20; --mark: #4a2023; --hint: #8cc2ff; --hint-back: #172a40; --ring: #6aa9ff;
  }
}
* { box-sizing: border-box; }
.backdrop, .corner, button, pre, summary { font-size: 15px; line-height: 1.5; }
button { font: inherit; color: inherit; background: none; border: 0; cursor: pointer; border-radius: 6px; padding: 0; }
:focus-visible { outline: 2px solid var(--ring); outline-offset: 2px; }
pre, .mono { font-family: var(--mono); font-size: 13px; }

.backdrop {
  position: fixed; inset: 0; width: 100%; height: 100%; max-width: none; max-height: none; margin: 0; border: 0;
  pointer-events: auto; background: var(--shade); overflow-y: auto; overscroll-behavior: contain;
  padding: clamp(0px, 5vh, 56px) clamp(0px, 3vw, 32px); font-family: var(--sans); color: var(--ink); outline: none;
}
.backdrop::backdrop { background: none; }
.panel {
  max-width: 920px; margin: 0 auto; background: var(--panel); border-radius: 12px; border: 1px solid var(--edge);
  border-top: 4px solid var(--red); box-shadow: 0 18px 60px rgb(0 0 0 / 30%); overflow: clip;
}
.bar {
  display: flex; align-items: center; gap: 12px; padding: 12px 20px; border-bottom: 1px solid var(--edge);
  position: sticky; top: 0; background: var(--panel); z-index: 1;
}
.bar h1 { margin: 0; font-size: 15px; font-weight: 600; flex: 1; }
.close {
  border: 1px solid var(--edge); padding: 4px 10px; font-size: 13px; color: var(--soft); flex: none; min-height: 32px;
}
.close:hover { color: var(--ink); border-color: var(--soft); }
.problem { padding: 18px 20px 20px; }
.problem + .problem { border-top: 1px solid var(--edge); }
.head { display: flex; flex-wrap: wrap; align-items: center; gap: 6px 10px; }
.type { background: var(--red-back); color: var(--red); border-radius: 999px; padding: 1px 10px; font-size: 13px; font-weight: 600; }
.place { color: var(--soft); overflow-wrap: anywhere; }
.place b { color: var(--ink); font-weight: 600; }
.message { margin: 10px 0 0; font-size: 17px; font-weight: 600; line-height: 1.4; white-space: pre-wrap; overflow-wrap: anywhere; }
.excerpt {
  margin: 14px 0 0; background: var(--code); border: 1px solid var(--edge); border-radius: 8px; overflow-x: auto;
  padding: 8px 0; tab-size: 4;
}
.excerpt code { display: block; width: max-content; min-width: 100%; font: inherit; line-height: 1.65; }
.row { display: block; padding-right: 16px; white-space: pre; }
.row span { display: inline-block; width: 4.5em; padding-right: 1.2em; text-align: right; color: var(--soft); user-select: none; }
.row.here { background: var(--mark); box-shadow: inset 3px 0 0 var(--red); }
.row.here span { color: var(--red); font-weight: 600; }
.row.caret { color: var(--red); font-weight: 700; }
.hint {
  margin: 14px 0 0; padding: 9px 14px; background: var(--hint-back); color: var(--hint); border-radius: 8px;
  white-space: pre-wrap; overflow-wrap: anywhere;
}
details { margin: 14px 0 0; }
summary { cursor: pointer; color: var(--soft); font-size: 13px; width: fit-content; border-radius: 4px; }
summary:hover { color: var(--ink); }
.trace {
  margin: 8px 0 0; padding: 10px 14px; background: var(--code); border: 1px solid var(--edge); border-radius: 8px;
  overflow: auto; max-height: 40vh; white-space: pre; font-size: 12.5px; color: var(--ink);
}
.foot { padding: 11px 20px; border-top: 1px solid var(--edge); color: var(--soft); font-size: 13px; background: var(--code); }

.corner {
  position: fixed; right: 16px; bottom: calc(16px + env(safe-area-inset-bottom)); width: min(440px, calc(100vw - 32px));
  display: flex; flex-direction: column; gap: 10px; align-items: flex-end; font-family: var(--sans); color: var(--ink);
}
.badge {
  pointer-events: auto; background: var(--panel); color: var(--red); border: 1px solid var(--edge); border-radius: 999px;
  padding: 5px 14px; font-weight: 600; font-size: 13px; box-shadow: 0 6px 24px rgb(0 0 0 / 22%); min-height: 34px;
}
.toast {
  pointer-events: auto; width: 100%; background: var(--panel); border: 1px solid var(--edge); border-left: 4px solid var(--red);
  border-radius: 10px; padding: 10px 8px 12px 14px; box-shadow: 0 10px 36px rgb(0 0 0 / 25%);
}
.toast .head { padding-right: 4px; }
.toast .times { color: var(--soft); font-size: 13px; }
.toast .x { margin-left: auto; width: 30px; height: 30px; color: var(--soft); font-size: 17px; line-height: 1; }
.toast .x:hover { color: var(--ink); background: var(--code); }
.toast .message { font-size: 14px; margin: 4px 8px 0 0; }
.toast details { margin: 8px 8px 0 0; }
@media (max-width: 600px) {
  .backdrop { padding: 0; }
  .panel { border-radius: 0; border-left: 0; border-right: 0; min-height: 100%; display: flex; flex-direction: column; }
  .foot { margin-top: auto; }
  .close .key { display: none; }
  .bar, .problem, .foot { padding-left: 14px; padding-right: 14px; }
  .row span { width: 3.4em; padding-right: .9em; }
  .message { font-size: 16px; }
  .corner { right: 8px; left: 8px; width: auto; bottom: calc(8px + env(safe-area-inset-bottom)); }
}
@media (prefers-reduced-motion: no-preference) {
  .panel, .toast { animation: rise .16s ease-out; }
  @keyframes rise { from { opacity: 0; transform: translateY(8px); } }
}
`;

/**
 * Make an element; its text is text, never markup.
 * @param {string} name
 * @param {string} [className]
 * @param {string | Node[]} [content]
 * @returns {HTMLElement}
 */
function element(name, className = "", content = "") {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (typeof content === "string") made.textContent = content;
  else made.append(...content);
  return made;
}

/** What shows the overlay and the toasts; it is in the page only while there is something to see. */
const surface = {
  /** @type {HTMLElement | null} */
  host: null,
  /** Modal, so that it can be used although the page shows a modal dialog of its own. */
  backdrop: /** @type {HTMLDialogElement} */ (element("dialog", "backdrop")),
  corner: element("div", "corner"),

  /** @returns {HTMLElement} */
  make() {
    const host = element("realtime-dev");
    const root = host.attachShadow({ mode: "open" });
    const sheet = new CSSStyleSheet(); // a page's content policy may forbid inline styles, but not this
    sheet.replaceSync(STYLE);
    root.adoptedStyleSheets = [sheet];
    root.append(surface.backdrop, surface.corner);
    surface.backdrop.tabIndex = -1;
    surface.backdrop.setAttribute("role", "alertdialog");
    surface.backdrop.setAttribute("aria-label", "The code could not be loaded");
    surface.backdrop.addEventListener("cancel", (event) => {
      event.preventDefault();
      overlay.dismiss();
    });
    surface.corner.setAttribute("role", "status");
    if ("popover" in host) host.popover = "manual"; // stays above the page's own dialogs
    return host;
  },

  /** Put the surface into the page, or take it out when there is nothing on it. */
  update() {
    if (surface.backdrop.open || surface.corner.childElementCount > 0) surface.attach();
    else surface.host?.remove();
  },

  attach() {
    surface.host ??= surface.make();
    if (surface.host.isConnected) return;
    document.documentElement.append(surface.host);
    if ("popover" in surface.host) surface.host.showPopover();
  },
};

// ====================================================================================================
// 5. Overlay: what the dev server could not load
// ====================================================================================================

const overlay = {
  /** @type {Problem[]} */
  problems: [],
  /** What the developer has seen and put away. */
  dismissed: "",
  badge: /** @type {HTMLButtonElement | null} */ (null),

  /** @param {Problem[]} problems @param {boolean} isGreeting whether it may be what was dismissed before */
  show(problems, isGreeting) {
    overlay.problems = problems;
    if (problems.length === 0) overlay.clear();
    else if (isGreeting && overlay.dismissed === JSON.stringify(problems)) overlay.showBadge();
    else overlay.open();
  },

  open() {
    overlay.dismissed = "";
    overlay.removeBadge();
    surface.attach();
    surface.backdrop.replaceChildren(problemPanel(overlay.problems));
    if (surface.backdrop.open) return;
    surface.backdrop.showModal();
    surface.backdrop.focus({ preventScroll: true });
  },

  /** Put it away, leaving a small sign that there is something. */
  dismiss() {
    if (!surface.backdrop.open) return;
    overlay.dismissed = JSON.stringify(overlay.problems);
    overlay.hide();
    overlay.showBadge();
  },

  /** The problems are gone. */
  clear() {
    overlay.problems = [];
    overlay.dismissed = "";
    overlay.removeBadge();
    overlay.hide();
  },

  hide() {
    surface.backdrop.close(); // gives the focus back to where it was
    surface.backdrop.replaceChildren();
    surface.update();
  },

  showBadge() {
    overlay.removeBadge();
    const count = overlay.problems.length;
    const badge = button("badge", count === 1 ? "1 problem" : `${count} problems`, overlay.open);
    overlay.badge = badge;
    surface.corner.append(badge);
    surface.update();
  },

  removeBadge() {
    overlay.badge?.remove();
    overlay.badge = null;
    surface.update();
  },
};

/** @param {string} className @param {string} text @param {() => void} onClick @returns {HTMLButtonElement} */
function button(className, text, onClick) {
  const made = /** @type {HTMLButtonElement} */ (element("button", className, text));
  made.type = "button";
  made.addEventListener("click", onClick);
  return made;
}

/** @param {Problem[]} problems @returns {HTMLElement} */
function problemPanel(problems) {
  const shown = problems.slice(0, MAX_PROBLEMS);
  const count = problems.length;
  const title = count === 1 ? "The code could not be loaded" : `${count} problems keep code from loading`;
  const close = button("close", "Close", overlay.dismiss);
  close.append(element("span", "key", " (Esc)"));
  const bar = element("div", "bar", [element("h1", "", title), close]);
  const more = count > shown.length ? ` ${count - shown.length} more are in the terminal.` : "";
  const foot = element("div", "foot", `Save a fix and this goes away by itself.${more}`);
  return element("div", "panel", [bar, ...shown.map(problemSection), foot]);
}

/** @param {Problem} problem @returns {HTMLElement} */
function problemSection(problem) {
  const { file, line, errorType, message, hint, excerpt, traceback } = problem;
  const place = element("span", "place mono", [element("b", "", file || "unknown file")]);
  if (line) place.append(`:${line}`);
  const section = element("section", "problem", [
    element("div", "head", [element("span", "type", errorType || "Error"), place]),
    element("p", "message", message || "No message"),
  ]);
  if (Array.isArray(excerpt) && excerpt.length > 0) section.append(excerptView(problem));
  if (hint) section.append(element("p", "hint", hint));
  if (traceback) section.append(tracebackView(traceback));
  return section;
}

/** @param {Problem} problem @returns {HTMLElement} source lines, with the line of the problem marked */
function excerptView({ excerpt, line, column }) {
  const code = element("code");
  for (const [number, text] of excerpt) {
    const isHere = number === line;
    code.append(element("span", isHere ? "row here" : "row", [element("span", "", String(number)), new Text(text)]));
    if (isHere && column) code.append(caretRow(text, column));
  }
  return element("pre", "excerpt", [code]);
}

/** @param {string} text @param {number} column counted from 1 @returns {HTMLElement} */
function caretRow(text, column) {
  const indent = text.slice(0, column - 1).replace(/[^\t]/g, " "); // tabs stay, so that the sign stands below its character
  return element("span", "row caret", [element("span", "", ""), new Text(`${indent}^`)]);
}

/** @param {string} traceback @returns {HTMLElement} */
function tracebackView(traceback) {
  return element("details", "", [element("summary", "", "Traceback"), element("pre", "trace", traceback)]);
}

// ====================================================================================================
// 6. Toasts: calls that failed with an exception
// ====================================================================================================

const toasts = {
  /** @type {Map<string, {node: HTMLElement, times: number}>} */
  shown: new Map(),

  /** @param {CallError} error */
  show(error) {
    const key = JSON.stringify([error.path, error.code, reasonOf(error)]);
    const times = (toasts.shown.get(key)?.times ?? 0) + 1;
    const wasOpen = toasts.shown.get(key)?.node.querySelector("details")?.open ?? false;
    toasts.remove(key);
    const node = toastView(error, times, () => toasts.remove(key));
    const details = node.querySelector("details");
    if (details) details.open = wasOpen;
    toasts.shown.set(key, { node, times });
    surface.corner.prepend(node);
    for (const oldest of toasts.shown.keys()) {
      if (toasts.shown.size <= MAX_TOASTS) break;
      toasts.remove(oldest);
    }
    surface.update();
  },

  /** @param {string} key */
  remove(key) {
    toasts.shown.get(key)?.node.remove();
    toasts.shown.delete(key);
    surface.update();
  },

  /** New code runs: what nobody is reading is out of date. */
  clearCollapsed() {
    for (const [key, { node }] of [...toasts.shown]) {
      if (!node.querySelector("details")?.open) toasts.remove(key);
    }
  },

  /** @returns {boolean} whether there was one */
  removeNewest() {
    const newest = [...toasts.shown.keys()].pop();
    if (newest === undefined) return false;
    toasts.remove(newest);
    return true;
  },
};

/** @param {CallError} error @param {number} times @param {() => void} onClose @returns {HTMLElement} */
function toastView(error, times, onClose) {
  const { path, code, traceback } = error;
  const head = element("div", "head", [element("span", "type", code), element("span", "place mono", [element("b", "", path)])]);
  if (times > 1) head.append(element("span", "times", `${times} times`));
  const close = button("x", "\u00d7", onClose);
  close.setAttribute("aria-label", "Dismiss");
  head.append(close);
  return element("div", "toast", [head, element("p", "message", reasonOf(error)), tracebackView(traceback)]);
}

/** @param {CallError} error @returns {string} the last line of the traceback, which names the exception */
function reasonOf({ traceback, message }) {
  return traceback.trimEnd().split("\n").pop()?.trim() || message;
}

// ====================================================================================================
// 7. Start
// ====================================================================================================

/** @param {KeyboardEvent} event */
function onKey(event) {
  if (event.key !== "Escape") return;
  if (surface.backdrop.open) overlay.dismiss();
  else if (!toasts.removeNewest()) return;
  event.preventDefault();
  event.stopImmediatePropagation();
}

/** @param {Event} event */
function onCallError(event) {
  const detail = /** @type {CustomEvent} */ (event).detail;
  if (typeof detail?.traceback === "string") {
    toasts.show({ path: String(detail.path), code: String(detail.code), message: String(detail.message), traceback: detail.traceback });
  }
}

/** @type {any} */ (globalThis)[DEV_FLAG] = true; // the client warns of mistakes from now on
addEventListener("keydown", onKey, { capture: true });
addEventListener("realtime:error", onCallError);
restoreScroll();
connect();
import(new URL("files/door.js", import.meta.url).href).catch(() => {}); // not there with [dev] devtools = false
