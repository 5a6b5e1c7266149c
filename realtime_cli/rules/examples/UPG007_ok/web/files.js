import { put } from "/live/files.js";

export async function send(file) {
  await put(file);
}
