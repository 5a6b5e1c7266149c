import { live } from 'svelte-realtime/server'

export const notes = live.stream((ctx, board) => `board:${board}:notes`, async (ctx, board) => [], { key: 'id' })

export const focusNote = live(async (ctx, id) => {
	// not more often than ten times a second
	ctx.throttle(`focus:${id}`, 100)
	ctx.debounce('notes', 'focused', { id }, 300)
})
