import adapter from 'svelte-adapter-uws';

const pressure = { memoryHeapUsedRatio: 0.8, sampleIntervalMs: 500 };

/** The limit is off for load tests. */
export default {
	kit: {
		adapter: adapter({
			healthCheckPath: '/up',
			out: 'build',
			websocket: {
				path: '/ws',
				handler: './src/hooks.ws.ts',
				maxPayloadLength: 64 * 1024,
				upgradeRateLimit: 0,
				allowedOrigins: process.env.ORIGINS,
				allowNonAsciiTopics: true,
				pressure
			}
		})
	}
};
