// The three columns. Elements are kept per card and moved, so that focus, editing and animation survive a redraw.

import { ago, byId, toast } from './view.js';

const STEP = 1024;
const calm = matchMedia('(prefers-reduced-motion: reduce)');

export class Board {
  constructor(root, columns, actions) {
    this.root = root;
    this.names = columns;
    this.order = Object.keys(columns);
    this.actions = actions;
    this.cards = new Map(); // id -> element
    this.tasks = new Map(); // id -> task
    this.lists = {}; // status -> the column's list
    this.dragged = null; // element
    for (const status of this.order) {
      const column = root.querySelector(`[data-status="${status}"]`);
      this.lists[status] = column.querySelector('.cards');
      this.#acceptDrops(column, status);
    }
  }

  /** Show exactly these tasks; `undefined` while they are loading. */
  draw(tasks) {
    this.root.ariaBusy = String(!tasks);
    if (!tasks) return;
    const focused = document.activeElement;
    const before = this.#places();
    this.tasks = new Map(tasks.map((task) => [task.id, task]));
    for (const [id, card] of this.cards) {
      if (!this.tasks.has(id)) {
        card.remove();
        this.cards.delete(id);
      }
    }
    for (const status of this.order) {
      const list = this.lists[status];
      this.#sorted(status).forEach((task, index) => {
        const card = this.cards.get(task.id) ?? this.#make(task);
        this.#fill(card, task);
        if (list.children[index] !== card) list.insertBefore(card, list.children[index] ?? null);
      });
    }
    if (focused instanceof HTMLElement && focused.isConnected && focused !== document.activeElement) focused.focus();
    this.#animate(before);
  }

  /** Put the numbers of the server beside the headings. */
  count(counts) {
    for (const status of this.order) {
      this.lists[status].parentElement.querySelector('.count').textContent = counts[status];
    }
  }

  /** The position of a task that is put at the end of a column. */
  end(status) {
    return (this.#sorted(status).at(-1)?.position ?? 0) + STEP;
  }

  /** Redraw what changes by itself: times. */
  tick() {
    for (const [id, card] of this.cards) this.#meta(card, this.tasks.get(id));
  }

  #sorted(status) {
    return [...this.tasks.values()].filter((task) => task.status === status).sort((a, b) => a.position - b.position);
  }

  // -------------------------------------------------------------- one card

  #make(task) {
    const card = byId('card').content.firstElementChild.cloneNode(true);
    card.dataset.id = task.id;
    card.draggable = true;
    card.querySelector('.words').addEventListener('click', () => this.#edit(card));
    card.addEventListener('click', (event) => {
      const go = event.target.closest('[data-go]')?.dataset.go;
      if (go) this.#go(card, go);
    });
    card.addEventListener('dragstart', (event) => {
      event.dataTransfer.setData('text/plain', task.title);
      event.dataTransfer.effectAllowed = 'move';
      this.dragged = card;
      requestAnimationFrame(() => card.classList.add('dragged'));
    });
    card.addEventListener('dragend', () => {
      card.classList.remove('dragged');
      this.dragged = null;
      this.#mark(null);
    });
    this.cards.set(task.id, card);
    return card;
  }

  #fill(card, task) {
    const words = card.querySelector('.words');
    if (words) {
      words.textContent = task.title;
      words.ariaLabel = `${task.title}. Edit`;
    }
    this.#meta(card, task);
    const at = this.order.indexOf(task.status);
    const label = (go, text) => {
      const button = card.querySelector(`[data-go="${go}"]`);
      button.hidden = text === null;
      button.title = text ?? '';
      button.ariaLabel = text && `${text}: ${task.title}`;
    };
    label('back', at > 0 ? `Move to ${this.names[this.order[at - 1]]}` : null);
    label('on', at < this.order.length - 1 ? `Move to ${this.names[this.order[at + 1]]}` : null);
    label('remove', 'Remove');
  }

  #meta(card, task) {
    const text = `${task.author} · ${ago(task.created)}`;
    const meta = card.querySelector('.meta');
    if (meta.textContent !== text) meta.textContent = text;
  }

  #go(card, go) {
    const task = this.tasks.get(card.dataset.id);
    if (go === 'remove') {
      const next = card.nextElementSibling ?? card.previousElementSibling;
      this.actions.remove(task);
      (next?.querySelector('.words') ?? byId('title')).focus();
      return;
    }
    const status = this.order[this.order.indexOf(task.status) + (go === 'on' ? 1 : -1)];
    this.actions.move(task, status, null, this.end(status));
    // At the last column the pressed arrow is gone: stay on the card.
    const focused = document.activeElement;
    if (!(focused instanceof HTMLElement) || focused.hidden || focused === document.body) card.querySelector('.words').focus();
  }

  #edit(card) {
    const task = this.tasks.get(card.dataset.id);
    const words = card.querySelector('.words');
    const field = document.createElement('textarea');
    field.className = 'words';
    field.value = task.title;
    field.rows = 1;
    field.ariaLabel = 'Title';
    let open = true;
    const close = (save, refocus) => {
      if (!open) return;
      open = false;
      card.draggable = true;
      const title = field.value.trim().replace(/\s+/g, ' ');
      const current = this.tasks.get(card.dataset.id);
      field.replaceWith(words);
      if (refocus) words.focus();
      if (!current) {
        toast('Somebody has removed this card');
      } else {
        this.#fill(card, current);
        if (save && title && title !== current.title) this.actions.rename(current, title);
      }
    };
    field.addEventListener('keydown', (event) => {
      if (event.key === 'Enter' && !event.isComposing) {
        event.preventDefault();
        close(true, true);
      } else if (event.key === 'Escape') {
        close(false, true);
      }
    });
    field.addEventListener('blur', () => close(true, false));
    card.draggable = false; // or the text could not be selected
    words.replaceWith(field);
    field.focus();
    field.select();
  }

  // -------------------------------------------------------------- drag and drop

  #acceptDrops(column, status) {
    column.addEventListener('dragover', (event) => {
      if (!this.dragged) return;
      event.preventDefault();
      event.dataTransfer.dropEffect = 'move';
      this.#mark(column, this.#below(status, event.clientY));
    });
    column.addEventListener('dragleave', (event) => {
      if (!column.contains(event.relatedTarget)) this.#mark(null);
    });
    column.addEventListener('drop', (event) => {
      if (!this.dragged) return;
      event.preventDefault();
      const task = this.tasks.get(this.dragged.dataset.id);
      const below = this.#below(status, event.clientY);
      this.#mark(null);
      if (task) this.#drop(task, status, below?.dataset.id ?? null);
    });
  }

  #drop(task, status, before) {
    const others = this.#sorted(status).filter((other) => other.id !== task.id);
    const found = others.findIndex((other) => other.id === before);
    const index = found < 0 ? others.length : found;
    const mine = this.#sorted(status);
    if (task.status === status && mine.indexOf(task) === index) return; // where it was
    const low = others[index - 1]?.position ?? (others[0]?.position ?? 2 * STEP) - 2 * STEP;
    const high = others[index]?.position ?? low + 2 * STEP;
    this.actions.move(task, status, before, (low + high) / 2);
  }

  /** The card that a card dropped at this height would stand above. */
  #below(status, y) {
    return [...this.lists[status].children].find((card) => {
      const box = card.getBoundingClientRect();
      return card !== this.dragged && y < box.top + box.height / 2;
    });
  }

  #mark(column, below) {
    this.root.querySelectorAll('.target, .below, .last').forEach((marked) => {
      marked.classList.remove('target', 'below', 'last');
    });
    column?.classList.add('target');
    if (below) below.classList.add('below');
    else [...(column?.querySelectorAll('.card:not(.dragged)') ?? [])].at(-1)?.classList.add('last');
  }

  // -------------------------------------------------------------- motion

  #places() {
    return new Map([...this.cards].map(([id, card]) => [id, card.getBoundingClientRect()]));
  }

  #animate(before) {
    if (calm.matches) return;
    for (const [id, card] of this.cards) {
      const old = before.get(id);
      const now = card.getBoundingClientRect();
      if (!old) {
        if (before.size) card.animate([{ opacity: 0, transform: 'translateY(-6px)' }, {}], { duration: 180, easing: 'ease-out' });
      } else if (old.left !== now.left || old.top !== now.top) {
        const from = `translate(${old.left - now.left}px, ${old.top - now.top}px)`;
        card.animate([{ transform: from }, {}], { duration: 220, easing: 'cubic-bezier(.2, .8, .2, 1)' });
      }
    }
  }
}
