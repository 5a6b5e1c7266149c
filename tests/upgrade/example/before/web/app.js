import { configure, status } from '/live/client.js';
configure({ upload: { chunkSize: 65536 } });
status.subscribe((s) => {
  document.body.classList.toggle('off', s === 'closed');
});
