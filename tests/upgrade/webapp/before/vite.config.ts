import { sveltekit } from '@sveltejs/kit/vite';
import uws from 'svelte-adapter-uws/vite';
import realtime from 'svelte-realtime/vite';

export default { plugins: [sveltekit(), uws({ devSkipOriginCheck: true }), realtime({ dir: 'src/live' })] };
