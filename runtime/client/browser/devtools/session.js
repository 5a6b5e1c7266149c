/**
 * A recorded session, and what it was like at one of its moments.
 *
 * @module
 */

/** @typedef {import("./feed.js").Session} Session */
/** @typedef {import("./feed.js").Frame} Frame */
/** @typedef {{path: string, topic: string, merge: string, key: string, value: any, events: number}} StreamValue */

const FORMAT = "realtime-devtools-session";
const VERSION = 1;
const MAX_LATEST = 50;
const ADDING = new Set(["created", "join", "update"]);
const REMOVING = new Set(["deleted", "leave", "remove"]);

/** @param {Session} session @returns {string} what can be stored as a file */
export function write(session) {
  return JSON.stringify({ format: FORMAT, version: VERSION, ...session });
}

/**
 * @param {string} text what `write` gave
 * @returns {Session}
 * @throws {Error} it is something else
 */
export function read(text) {
  const found = JSON.parse(text);
  if (found?.format !== FORMAT || found.version !== VERSION) throw new Error("this file holds no session of these devtools");
  if (!Array.isArray(found.frames) || !Array.isArray(found.snapshots)) throw new Error("the file is damaged: frames or snapshots are missing");
  return { frames: found.frames, snapshots: found.snapshots };
}

/** @param {Session} session @param {number} at @returns {any} the state that was read last before this time */
export function stateAt(session, at) {
  const earlier = session.snapshots.filter((one) => one.at <= at);
  return (earlier.at(-1) ?? session.snapshots[0])?.state ?? null;
}

/** @param {Frame[]} frames @returns {Frame[]} the same, with each call and reply of a batch as a frame of its own */
export function single(frames) {
  return frames.flatMap((frame) => {
    if (!frame.kind.startsWith("batch") || !Array.isArray(frame.data)) return [frame];
    return frame.data.map((one, index) => {
      const { rpc, path, ms, id, ok, code, args, ...rest } = one;
      const about = { ...frame, n: /** @type {any} */ (`${frame.n}.${index}`), path: rpc ?? path, id };
      if (frame.kind === "batch") return { ...about, kind: "call", data: args };
      return { ...about, kind: "reply", ms: ms ?? undefined, ok, code, data: Object.keys(rest).join() === "data" ? rest.data : rest };
    });
  });
}

/** @param {Session} session @param {number} index of a frame @returns {Frame[]} calls without an answer up to there */
export function pendingAt(session, index) {
  /** @type {Map<string, Frame>} */
  const open = new Map();
  for (const frame of single(session.frames.slice(0, index + 1))) {
    if ((frame.kind === "call" || frame.kind === "stream") && frame.id) open.set(`${frame.conn} ${frame.id}`, frame);
    else if (frame.kind === "reply") open.delete(`${frame.conn} ${frame.id}`);
  }
  return [...open.values()];
}

/** @param {Session} session @param {number} index of a frame @returns {StreamValue[]} what the streams had become by then */
export function valuesAt(session, index) {
  /** @type {Map<string, StreamValue>} */
  const streams = new Map();
  for (const frame of single(session.frames.slice(0, index + 1))) {
    if (frame.kind === "reply" && frame.ok && typeof frame.data?.topic === "string") {
      const { topic, merge = "crud", key = "id", data } = frame.data;
      streams.set(`${frame.path} ${topic}`, { path: frame.path ?? "", topic, merge, key, value: data, events: 0 });
    } else if (frame.dir === "pub") {
      for (const stream of streams.values()) if (stream.topic === frame.topic) apply(stream, frame);
    }
  }
  return [...streams.values()];
}

/**
 * Fold one event as the client does.
 * @param {StreamValue} stream
 * @param {Frame} frame
 */
function apply(stream, { event = "", data }) {
  stream.events++;
  const { merge } = stream;
  const key = merge === "crud" ? stream.key : "key";
  if (event === "refreshed" || merge === "set" || (event === "set" && merge !== "crud")) {
    stream.value = data;
    return;
  }
  if (!Array.isArray(stream.value)) return;
  const list = stream.value;
  const at = list.findIndex((item) => item?.[key] !== undefined && item[key] === data?.[key]);
  if (merge === "latest") stream.value = [...list, data].slice(-MAX_LATEST);
  else if (REMOVING.has(event)) stream.value = list.filter((_, index) => index !== at);
  else if (at >= 0) stream.value = list.map((item, index) => (index === at ? data : item));
  else if (ADDING.has(event)) stream.value = [...list, data];
}
