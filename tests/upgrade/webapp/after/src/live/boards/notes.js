import { live } from 'svelte-realtime/server'

export const notes = live.stream((ctx, board) => `board:${board}:notes`, async (ctx, board) => [], { key: 'id' })

export const focusNote = live(async (ctx, id) => {
	// not more often than ten times a second
	// TODO(realtime-upgrade UPJ04): this call gated nothing in 0.4; skip() now does
	if (ctx.skip(`focus:${id}`, 100)) return
	ctx.publishDebounced('notes', 'focused', { id }, 300)
})
