import { configure, status } from '/live/client.js';
configure({ upload: { frameSize: 65536 } });
status.subscribe((s) => {
  document.body.classList.toggle('off', (s === 'disconnected' || s === 'failed'));
});
