import { live } from "svelte-realtime/server";

export const rename = live(async (ctx, title) => title.trim());
