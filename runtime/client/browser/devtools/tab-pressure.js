/** The tab of pressure: gauges of the load, what is full, what was lost. @module */

import { chip, element, fill, number, size, Table } from "./view.js";

const REASONS = /** @type {Record<string, string>} */ ({ NONE: "no pressure", PUBLISH_RATE: "too many publishes", SUBSCRIBERS: "too many subscriptions", MEMORY: "too little memory" });

export class PressureTab {
  id = "pressure";
  title = "Pressure";

  /** @param {import("./feed.js").Feed} feed */
  constructor(feed) {
    this.feed = feed;
    this.state = element("div", "head");
    this.gauges = element("div", "gauges");
    this.all = element("input", "", null, { type: "checkbox", change: () => this.update() });
    this.sizes = new Table({
      label: "Bounds",
      none: "Nothing that has a bound holds anything.",
      key: (row) => row.name,
      columns: [
        { title: "Bound", className: "key", of: (row) => row.name },
        { title: "Holds", className: "num", of: (row) => number(row.size) },
        { title: "At most", className: "num", of: (row) => number(row.limit) },
        { title: "Full", of: (row) => bar(row.size / row.limit) },
      ],
    });
    this.met = new Table({
      label: "Bounds that were met",
      none: "None.",
      key: (row) => `${row.name} ${row.action}`,
      columns: [
        { title: "Bound", className: "key", of: (row) => row.name },
        { title: "What happened", of: (row) => chip(row.action, "warn") },
        { title: "Times", className: "num", of: (row) => number(row.count) },
      ],
    });
    this.noneMet = element("p", "soft", "None.");
    this.losses = element("div");
    this.node = element("section", "", [
      this.state,
      this.gauges,
      element("h3", "", "Lost, dropped or refused"),
      this.losses,
      element("h3", "", "Bounds that were met"),
      this.noneMet,
      this.met.node,
      element("h3", "", "How full things are"),
      element("div", "tools", element("label", "check", [this.all, "Empty ones, too"])),
      this.sizes.node,
    ]);
  }

  count() {
    return this.feed.state.pressure.snapshot.active ? "!" : null;
  }

  update() {
    if (!this.feed.state) return;
    const { snapshot, thresholds, subscriptions, sizes, met, losses, kept } = this.feed.state.pressure;
    const samples = this.feed.samples;
    const of = (/** @type {string} */ name) => samples.map(({ pressure }) => pressure[name]);
    fill(this.state, [element("h2", "", "Load of this worker"), chip(REASONS[snapshot.reason] ?? snapshot.reason, snapshot.active ? "bad" : "good")]);
    fill(this.gauges, [
      gauge("Memory", `${number(snapshot.memory_mb)} MiB`, snapshot.memory_ratio, thresholds.memory_ratio, of("memory_mb"), "of the limit"),
      gauge("Publishes", `${number(snapshot.publish_rate)} /s`, ratio(snapshot.publish_rate, thresholds.publish_rate), thresholds.publish_rate === null ? null : 1, of("publish_rate"), "of the threshold"),
      gauge("Subscriptions", number(subscriptions), ratio(snapshot.subscriber_ratio, thresholds.subscriber_ratio), thresholds.subscriber_ratio === null ? null : 1, of("subscriber_ratio"), `of the threshold, ${number(snapshot.subscriber_ratio)} per connection`),
      gauge("Loop lag", `${number(snapshot.loop_lag * 1000)} ms`, null, null, of("loop_lag"), "how late the event loop is"),
      gauge("Connections", number(this.feed.state.connections.total), null, null, samples.map(({ connections }) => connections), ""),
      gauge("Kept for this page", `${number(kept.frames)} frames`, null, null, [], size(kept.bytes)),
    ]);
    const lost = Object.entries(losses).filter(([, count]) => Number(count) > 0);
    fill(this.losses, lost.length > 0 ? element("div", "chips", lost.map(([name, count]) => chip(`${name} ${number(Number(count))}`, "bad"))) : element("p", "soft", "Nothing."));
    this.met.node.hidden = met.length === 0;
    this.noneMet.hidden = met.length > 0;
    this.met.update(met);
    this.sizes.update(sizes.filter((/** @type {any} */ row) => this.all.checked || row.size > 0));
  }
}

/** @param {number} value @param {number | null} threshold */
function ratio(value, threshold) {
  return threshold ? value / threshold : null;
}

/**
 * @param {string} title @param {string} value @param {number | null} share @param {number | null} threshold
 * @param {number[]} history @param {string} note
 * @returns {HTMLElement}
 */
function gauge(title, value, share, threshold, history, note) {
  const tone = share !== null && threshold !== null ? (share >= threshold ? "bad" : share >= threshold * 0.8 ? "warn" : "") : "";
  return element("div", "panel gauge", [
    element("div", "soft", title),
    element("div", "value", value),
    share !== null && bar(share, tone),
    element("div", "soft", share !== null ? `${number(share * 100)} % ${note}` : note),
    history.length > 1 && spark(history),
  ]);
}

/** @param {number} share @param {string} [tone] @returns {HTMLElement} */
function bar(share, tone = "") {
  const inner = element("i", tone || (share >= 1 ? "bad" : share > 0.8 ? "warn" : ""));
  inner.style.width = `${Math.min(100, share * 100)}%`;
  return element("div", "bar", inner, { role: "img", "aria-label": `${Math.round(share * 100)} %` });
}

/** @param {number[]} values @returns {SVGElement} */
function spark(values) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  made.setAttribute("class", "spark");
  made.setAttribute("viewBox", "0 0 100 30");
  made.setAttribute("preserveAspectRatio", "none");
  made.setAttribute("aria-hidden", "true");
  const most = Math.max(...values, Number.MIN_VALUE);
  const points = values.map((value, index) => `${((index / (values.length - 1)) * 100).toFixed(2)},${(29 - (value / most) * 27).toFixed(2)}`);
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", `M${points.join("L")}`);
  made.append(path);
  return made;
}
