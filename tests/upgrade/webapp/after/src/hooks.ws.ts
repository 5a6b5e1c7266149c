import { createMessage, onError, setCronPlatform } from 'svelte-realtime/server';
import { bus, cursor, presence } from '$lib/server/redis';

/** Whoever has a session may come in. */
export function upgrade({ cookies }) {
	return cookies.session ? { id: cookies.session } : false;
}

onError((path, error) => {
	console.error(path, error);
});

export async function init({ platform }) {
	// cron jobs publish, too
	setCronPlatform(platform);
}

export async function open(ws, { platform }) {
	// TODO(realtime-upgrade UPJ09): this was bus.activate(platform); open is async now, and needs no other call to the bus
	await bus.hooks.open(ws, { platform });
	presence.join(ws, 'lobby', platform); // who is here
}

export function subscribe(ws, topic, ctx) {
	presence.hooks.subscribe(ws, topic, ctx);
	cursor.hooks.subscribe(ws, topic, ctx);
}

export function close(ws, ctx) {
	presence.hooks.close(ws, ctx);
}

export const message = createMessage({ platform: (p) => bus.wrap(p) });
