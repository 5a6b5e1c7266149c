import { live, LiveError, type LiveContext } from 'svelte-realtime/server';
import { cursor, presence } from '$lib/server/redis';

const boardTopic = (ctx: LiveContext, id: string) => `board:${id}`;

export const _guard = live.gate(async (ctx) => !!ctx.user, async () => {});

export const boards = live.stream('boards', async () => [], { merge: 'crud', access: async (ctx) => !!ctx.user });

export const addBoard = live(async (ctx, title: string, color = 'red') => {
	if (!title) throw new LiveError('VALIDATION', 'A title is missing');
	ctx.throttle('boards', 'created', { title, color }, 200);
});

export const room = live.room({
	topic: boardTopic,
	init: async (ctx, id) => [],
	actions: {
		async move(ctx, id: string, x: number) {
			ctx.throttle(`move:${id}`, 50);
			ctx.publish('moved', { x });
		}
	},
	onLeave: (ctx) => console.log(ctx.user.id)
});

export const joinBoard = live(async (ctx, id: string) => {
	await presence.join(ctx.ws, `board:${id}`, ctx.platform);
	ctx.platform.subscribe(ctx.ws, `chat:${id}`);
});

export const tick = live.cron('* * * * *', 'boards:tick', () => cursor.size);
