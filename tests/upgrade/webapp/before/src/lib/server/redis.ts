import { createCursor, createPresence, createPubSubBus, createRedisClient } from 'svelte-adapter-uws-extensions/redis';
import { createReplay } from 'svelte-adapter-uws-extensions/postgres';
import { RELEASE_SCRIPT } from 'svelte-adapter-uws-extensions/redis/lock';

export const redis = createRedisClient({ url: process.env.REDIS_URL });
export const bus = createPubSubBus(redis);
export const presence = createPresence(redis, { select: (user: User) => ({ id: user.id }) });
export const cursor = createCursor(redis, { throttle: 20, topicThrottle: 20 });
export const replay = createReplay(pool, { size: 500 });
export const release = RELEASE_SCRIPT;
