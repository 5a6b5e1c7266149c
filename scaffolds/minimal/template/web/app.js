import { add, count } from '$live/counter.js';

/** @returns {any} */
const byId = (id) => document.getElementById(id);

count.subscribe((value) => { byId('count').textContent = value ?? '…'; });
byId('less').addEventListener('click', () => add(-1));
byId('more').addEventListener('click', () => add(1));
