import { createMessage, onCronError, setCronPlatform } from 'svelte-realtime/server';
import { bus, cursor, presence } from '$lib/server/redis';

/** Whoever has a session may come in. */
export function upgrade({ cookies }) {
	return cookies.session ? { id: cookies.session } : false;
}

onCronError((path, error) => {
	console.error(path, error);
});

export function open(ws, { platform }) {
	// cron jobs publish, too
	setCronPlatform(platform);
	bus.activate(platform);
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
