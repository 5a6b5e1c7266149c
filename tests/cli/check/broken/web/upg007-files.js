import { put } from "/live/files.js";

export async function send(file) {
  for (let at = 0; at < file.size; at += 65536) {
    await put(await file.slice(at, at + 65536).arrayBuffer());
  }
}
