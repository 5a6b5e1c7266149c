/**
 * The page `/__realtime`: tabs over what the server tells.
 *
 * Keys: arrows move between tabs and rows, `/` goes to the filter, Space pauses, Escape closes what is open.
 *
 * @module
 */

import { Feed } from "./feed.js";
import { button, chip, duration, element, fill, setValueMode, valueMode } from "./view.js";
import { AggregatesTab } from "./tab-aggregates.js";
import { CallsTab } from "./tab-calls.js";
import { ConnectionsTab } from "./tab-connections.js";
import { CronTab } from "./tab-cron.js";
import { FramesTab } from "./tab-frames.js";
import { PathsTab } from "./tab-paths.js";
import { PresenceTab } from "./tab-presence.js";
import { PressureTab } from "./tab-pressure.js";
import { StoresTab } from "./tab-stores.js";
import { TopicsTab } from "./tab-topics.js";
import { TravelTab } from "./tab-travel.js";

/**
 * @typedef {{id: string, title: string, node: HTMLElement, count: () => number | string | null, update: () => void,
 *   show?: (query: URLSearchParams) => void, redraw?: () => void}} Tab
 */

const THEME_KEY = "realtime.devtools.theme";
const THEMES = /** @type {const} */ (["auto", "light", "dark"]);

/** @type {any} */ (globalThis)[Symbol.for("realtime.dev")] = true; // the client that the forms load keeps what it sees

const feed = new Feed(new URL("../", import.meta.url));
/** @type {Tab[]} */
const tabs = [
  new ConnectionsTab(feed, go),
  new TopicsTab(feed, go),
  new FramesTab(feed),
  new CallsTab(feed, go),
  new StoresTab(feed),
  new PresenceTab(feed),
  new CronTab(feed, go),
  new AggregatesTab(feed),
  new PressureTab(feed),
  new PathsTab(feed),
  new TravelTab(feed),
];
let current = tabs[0];

// ---------------------------------------------------------------- header

const dot = element("span", "dot");
const about = element("span", "soft wide");
const environment = element("span");
const state = element("span", "", null, { role: "status" });
const pauseButton = button("Pause", () => feed.pause(!feed.isPaused), "", { title: "Space", "aria-pressed": "false" });
const modeButton = button("", () => {
  setValueMode(valueMode() === "raw" ? "pretty" : "raw");
  for (const tab of tabs) tab.redraw?.();
  update();
});
const themeButton = button("", () => setTheme(THEMES[(THEMES.indexOf(theme()) + 1) % THEMES.length]));

const header = element("header", "", [
  dot,
  element("h1", "", ["Realtime", element("span", "wide", " devtools")]),
  environment,
  about,
  state,
  element("span", "spacer"),
  pauseButton,
  button("Clear", () => feed.clear(), "", { title: "Forget the frames in this page" }),
  modeButton,
  themeButton,
]);

/** @returns {typeof THEMES[number]} */
function theme() {
  try {
    const found = localStorage.getItem(THEME_KEY);
    return found === "light" || found === "dark" ? found : "auto";
  } catch {
    return "auto";
  }
}

/** @param {typeof THEMES[number]} wanted */
function setTheme(wanted) {
  try {
    localStorage.setItem(THEME_KEY, wanted);
  } catch {
    // no storage: it holds until the page is left
  }
  if (wanted === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = wanted;
  writeHeader();
}

function writeHeader() {
  const worker = feed.state?.worker;
  dot.className = `dot ${feed.problem ? "bad" : worker ? "good" : ""}`;
  fill(environment, worker && chip(worker.env, worker.env === "production" ? "warn" : "accent"));
  fill(about, worker && `up ${duration(worker.uptime)} · code ${worker.generation}${worker.problems ? ` · ${worker.problems} problems` : ""}`);
  fill(state, feed.problem ? chip(feed.problem, "bad") : feed.recording ? chip("recording", "bad") : feed.isPaused ? chip("paused", "warn") : null);
  pauseButton.textContent = feed.isPaused ? "Go on" : "Pause";
  pauseButton.setAttribute("aria-pressed", String(feed.isPaused));
  modeButton.textContent = valueMode() === "raw" ? "Raw" : "Pretty";
  modeButton.title = "How values are shown";
  themeButton.textContent = { auto: "Auto", light: "Light", dark: "Dark" }[theme()];
  themeButton.title = "Colours";
}

// ---------------------------------------------------------------- tabs

const main = element("main", "", null, { id: "panel", role: "tabpanel", tabindex: "-1" });
const list = element("div", "", null, { role: "tablist", "aria-label": "Devtools", "aria-orientation": "vertical" });
/** @type {Map<string, {tab: HTMLElement, count: HTMLElement}>} */
const heads = new Map();
for (const { id, title } of tabs) {
  const count = element("span", "count");
  const tab = button("", () => go(id), "", { role: "tab", id: `tab-${id}`, "aria-controls": "panel" });
  fill(tab, [title, count]);
  heads.set(id, { tab, count });
  list.append(tab);
}
list.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
  const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
  const at = tabs.indexOf(current);
  const next = step ? tabs[(at + step + tabs.length) % tabs.length] : { Home: tabs[0], End: tabs[tabs.length - 1] }[event.key];
  if (!next) return;
  event.preventDefault();
  go(next.id);
  heads.get(next.id)?.tab.focus();
});

/**
 * Show a tab, perhaps with a filter.
 * @param {string} id @param {Record<string, string>} [query]
 */
function go(id, query = {}) {
  const search = new URLSearchParams(query).toString();
  const hash = `#${id}${search ? `?${search}` : ""}`;
  if (location.hash !== hash) history.replaceState(null, "", hash);
  open();
}

function open() {
  const [id, search = ""] = location.hash.slice(1).split("?");
  current = tabs.find((tab) => tab.id === id) ?? tabs[0];
  current.show?.(new URLSearchParams(search));
  for (const [name, { tab }] of heads) {
    const isCurrent = name === current.id;
    tab.setAttribute("aria-selected", String(isCurrent));
    tab.tabIndex = isCurrent ? 0 : -1;
  }
  showTab();
  main.setAttribute("aria-labelledby", `tab-${current.id}`);
  fill(main, current.node);
  document.title = `${current.title} · Realtime devtools`;
  update();
}

/** Where the tabs do not fit, bring the current one into view. */
function showTab() {
  heads.get(current.id)?.tab.scrollIntoView({ block: "nearest", inline: "nearest" });
}

function update() {
  writeHeader();
  if (feed.state === null) return;
  for (const tab of tabs) {
    const count = tab.count();
    const { count: node } = /** @type {{count: HTMLElement}} */ (heads.get(tab.id));
    node.textContent = count === null || count === 0 ? "" : String(count);
  }
  current.update();
}

// ---------------------------------------------------------------- start

addEventListener("hashchange", open);
addEventListener("resize", showTab);
addEventListener("keydown", (event) => {
  const target = /** @type {HTMLElement} */ (event.target);
  if (event.ctrlKey || event.metaKey || event.altKey || target.closest?.("input, select, textarea, [contenteditable]")) return;
  if (event.key === "/") {
    const field = /** @type {HTMLElement | null} */ (main.querySelector("input[type=search]"));
    if (!field) return;
    field.focus();
  } else if (event.key === " " && !target.closest?.("button, summary, tr, a")) feed.pause(!feed.isPaused);
  else return;
  event.preventDefault();
});
document.body.append(header, element("nav", "", list), main);
setTheme(theme());
feed.addEventListener("change", update);
open();
feed.start();
