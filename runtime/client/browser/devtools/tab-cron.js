/** The tab of scheduled functions: when each runs next, and what became of the last run. @module */

import { button, chip, duration, element, moment, Table } from "./view.js";

const TONES = /** @type {Record<string, string>} */ ({ ok: "good", error: "bad", skipped: "warn" });

export class CronTab {
  id = "cron";
  title = "Cron";

  /** @param {import("./feed.js").Feed} feed @param {(id: string, query?: Record<string, string>) => void} go */
  constructor(feed, go) {
    this.feed = feed;
    this.table = new Table({
      label: "Scheduled functions",
      none: "No live module has a function with @live.cron.",
      key: (row) => row.path,
      rowClass: (row) => (row.last_status === "error" ? "failed" : ""),
      columns: [
        { title: "Function", className: "key", of: (row) => [row.path, element("div", "soft", row.place)] },
        { title: "Schedule", of: (row) => [element("span", "mono nowrap", row.schedule), element("div", "soft", `${row.zone}${row.per_worker ? ", every worker" : ""}`)] },
        { title: "Next", className: "nowrap", of: (row) => (row.next_run === null ? "not scheduled" : [moment(row.next_run), element("div", "soft", `in ${duration(Math.max(0, Math.floor(row.next_run - this.now)))}`)]) },
        { title: "Last", className: "nowrap", of: (row) => (row.last_run === null ? element("span", "soft", "not yet") : [moment(row.last_run), element("div", "soft", `${duration(Math.floor(this.now - row.last_run))} ago`)]) },
        { title: "Result", of: (row) => [row.is_running ? chip("running", "accent") : row.last_status && chip(row.last_status, TONES[row.last_status]), row.error && element("div", "bad", row.error)] },
        { title: "Took", className: "num", of: (row) => duration(row.duration) },
        { title: "Topic", of: (row) => row.topic && button(row.topic, () => go("frames", { topic: row.topic }), "plain mono") },
      ],
    });
    this.node = element("section", "", this.table.node);
    this.now = 0;
  }

  count() {
    return this.feed.state.cron.total;
  }

  update() {
    if (!this.feed.state) return;
    this.now = this.feed.state.worker.now;
    this.table.update(this.feed.state.cron.rows);
  }
}
