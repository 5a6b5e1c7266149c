/** The app's own client module, loaded when somebody needs it. @module */

/** @type {any} */
let client = null;

/** @param {string} [socket] path of the WebSocket, where it is not the usual one @returns {Promise<any>} */
export async function loadClient(socket) {
  if (client === null) client = await import(new URL("../../live/client.js", import.meta.url).href);
  if (socket !== undefined) client.__defaults({ path: socket });
  return client;
}

/** @returns {any} the module, or `null` while nobody needed it */
export function loadedClient() {
  return client;
}
