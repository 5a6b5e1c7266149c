/**
 * Opens the devtools in a page of the app, and lets the page `/__realtime` ask what this page holds. The dev server's
 * page script loads this; the rest is loaded when somebody wants it.
 *
 * @module
 */

const OPEN_KEY = "realtime.devtools.open";

const overlay = () => import(new URL("overlay.js", import.meta.url).href);

addEventListener(
  "keydown",
  (event) => {
    if (!event.ctrlKey || !event.shiftKey || event.altKey || event.code !== "KeyL") return;
    event.preventDefault();
    overlay().then(({ toggle }) => toggle());
  },
  { capture: true }
);

const channel = new BroadcastChannel(`realtime-devtools${new URL("../..", import.meta.url).pathname}`);
channel.onmessage = (/** @type {MessageEvent} */ { data }) => {
  if (data?.kind === "ask" || data?.kind === "clear") overlay().then(({ answer }) => answer(channel, data));
};

try {
  if (sessionStorage.getItem(OPEN_KEY)) overlay().then(({ toggle }) => toggle());
} catch {
  // no storage here: it does not open again by itself
}
