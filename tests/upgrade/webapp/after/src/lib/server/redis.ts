import { createCursor, createPresence, createPubSubBus, createRedisClient } from 'svelte-adapter-uws-extensions/redis';
import { createReplay } from 'svelte-adapter-uws-extensions/postgres';
import { LEASE_RELEASE_SCRIPT as RELEASE_SCRIPT } from 'svelte-adapter-uws-extensions/shared/lease-scripts.js';

export const redis = createRedisClient({ url: process.env.REDIS_URL });
export const bus = createPubSubBus(redis);
export const presence = createPresence(redis, { select: (user: User) => ({ id: user.id }) });
export const cursor = createCursor(redis, { throttle: 20, topicThrottle: 20 });
export const replay = createReplay(pool, { size: 500, table: 'ws_replay' });
export const release = RELEASE_SCRIPT;
