/**
 * Types of the browser client, `/live/client.js`. The declarations that `realtime types` writes for live modules
 * import `Rpc`, `StreamStore` and `StreamFactory` from here.
 */

// ---------------------------------------------------------------- stores

/** Ends a subscription. May be called more than once. */
export type Unsubscribe = () => void;

/** A value that changes: `fn` is called at once with the current value and then on each change. */
export interface Readable<T> {
  subscribe(fn: (value: T) => void): Unsubscribe;
}

/** A readable whose value can also be read without subscribing. */
export interface Store<T> extends Readable<T> {
  get(): T;
}

/** What others may hand in: a store of ours, of Svelte, or an observable. */
export interface StoreLike<T> {
  subscribe(fn: (value: T) => void): Unsubscribe | { unsubscribe(): void };
}

// ---------------------------------------------------------------- errors

/** One field that did not fit, of an error with code `VALIDATION`. */
export interface Issue {
  path: string[];
  message: string;
}

/** Codes that the server's framework and this client use. An app may use any others. */
export type FrameworkErrorCode =
  | "CANCELLED"
  | "CONFLICT"
  | "CONNECTION_CLOSED"
  | "DISCONNECTED"
  | "FLOW_BACKPRESSURE"
  | "FORBIDDEN"
  | "INTERNAL_ERROR"
  | "INVALID_ARG"
  | "INVALID_REQUEST"
  | "INVALID_TOPIC"
  | "INVALID_USER_ID"
  | "LOAD_MORE_ERROR"
  | "LOCK_CLEARED"
  | "LOCK_LOST"
  | "LOCK_QUEUE_FULL"
  | "LOCK_TIMEOUT"
  | "NOT_FOUND"
  | "OVERLOADED"
  | "PAYLOAD_TOO_LARGE"
  | "QUEUE_FULL"
  | "RATE_LIMITED"
  | "SERVICE_UNAVAILABLE"
  | "SOURCE_ERROR"
  | "STALE"
  | "STREAM_ERROR"
  | "TIMEOUT"
  | "TOO_MANY_UPLOADS"
  | "UNAUTHENTICATED"
  | "UNKNOWN"
  | "VALIDATION";

/** What a failed call, stream or batch rejects with. */
export class RpcError extends Error {
  constructor(
    code: FrameworkErrorCode | (string & {}),
    message?: string,
    details?: { issues?: Issue[]; data?: unknown; retryAfter?: number }
  );
  readonly name: "RpcError";
  readonly code: FrameworkErrorCode | (string & {});
  /** Field by field, for code `VALIDATION`. */
  readonly issues: Issue[] | undefined;
  /** What the server's error carried besides. */
  readonly data: unknown;
  /** Milliseconds, for code `RATE_LIMITED`. */
  readonly retryAfter: number | undefined;
}

// ---------------------------------------------------------------- configuration

/** A call that was made while the connection was lost. */
export interface OfflineCall {
  path: string;
  args: unknown[];
  /** Milliseconds since the epoch. */
  queuedAt: number;
}

export interface OfflineOptions {
  /** Keep calls that are made while the connection is lost, and send them when it is back. Default: no. */
  queue?: boolean;
  /** Calls that are kept; the oldest is rejected with `QUEUE_FULL`. Default 100. */
  maxQueue?: number;
  /** Older calls are rejected with `STALE`, in milliseconds. Default 0: any age. */
  maxAge?: number;
  /** One after the other, ten at a time, or a function that picks and orders. Default `sequential`. */
  replay?: "sequential" | "concurrent" | "batch" | ((calls: OfflineCall[]) => OfflineCall[]);
  /** A falsy answer drops the call with `STALE`. */
  beforeReplay?: (call: OfflineCall) => unknown;
  onReplayError?: (call: OfflineCall, error: unknown) => void;
}

/** Options that make a connection. */
export interface ConnectOptions {
  /** Address of the WebSocket. Default: the `ws` path of the app that serves this module. */
  url?: string;
  /** Path of the WebSocket below the app. Default `/ws`. */
  path?: string;
  /** Ask `POST /__ws/auth` (or another path) before each attempt. Default: no. */
  auth?: boolean | string;
  /** Middle of the first wait between attempts, in milliseconds. Default 3000. */
  reconnectInterval?: number;
  /** Longest middle of a wait, in milliseconds. Default 300,000. */
  maxReconnectInterval?: number;
  /** Attempts without success after which the status is `failed`. Default: no limit. */
  maxReconnectAttempts?: number;
}

export interface UploadOptions {
  /** Bytes of one frame. Default: what the server takes, once it has said so; 12,288 before. */
  frameSize?: number;
  /** An upload waits while more bytes than this wait in the socket. Default 4 MiB. */
  highWaterMark?: number;
  /** It goes on when there are no more than this. Default 1 MiB. */
  lowWaterMark?: number;
}

export interface ConfigureOptions extends Omit<ConnectOptions, "path"> {
  /** The connection is back; not called for the first one. */
  onConnect?: () => void;
  /** An open connection was lost, for a while or for good; not called after `close()`. */
  onDisconnect?: () => void;
  /** Awaited before each attempt after the first, at most 30 s. */
  beforeReconnect?: () => unknown;
  /** Time limit of a call or stream request in milliseconds. Default 30,000. */
  timeout?: number;
  /** How long a stream without subscribers keeps its value, in milliseconds. Default 60,000; 0: not at all. */
  resumeGraceMs?: number;
  /** `fireAndForget` drops while more bytes than this wait in the socket. Default 4 MiB. */
  volatileBackpressureBytes?: number;
  upload?: UploadOptions;
  offline?: OfflineOptions;
}

/** Replace all options. Unknown names are an error. */
export function configure(options?: ConfigureOptions): void;

// ---------------------------------------------------------------- connection

export type Status = "connecting" | "open" | "suspended" | "disconnected" | "failed";
export type FailureClass = "TERMINAL" | "EXHAUSTED" | "THROTTLE" | "RETRY" | "AUTH";
export type Failure =
  | { kind: "ws-close"; class: FailureClass; code: number; reason: string }
  | { kind: "auth-preflight"; class: FailureClass; status: number; reason: string };
export interface Denial {
  topic: string;
  reason: string;
  ref: unknown;
}
/** What the server says about one topic after a resume. */
export type ResumeState =
  | { state: "complete" }
  | { state: "filled"; count: number }
  | { state: "truncated" }
  | { state: "denied"; code: string };
export interface TopicEvent<T = any> {
  topic: string;
  event: string;
  data: T;
  /** The number of the event; only from `onReplay`. */
  seq?: number;
}

/** One WebSocket after the other to one address, until it fails for good. */
export interface Connection {
  readonly status: Store<Status>;
  readonly failure: Store<Failure | null>;
  readonly denials: Store<Denial | null>;
  readonly resumed: Store<Record<string, ResumeState> | null>;
  readonly isOpen: boolean;
  readonly isFailed: boolean;
  /** Bytes that wait in the socket. */
  readonly bufferedAmount: number;
  /** Settles when the connection is open or suspended; rejects when it fails for good. */
  ready(): Promise<void>;
  /** Send a frame now or drop it; tells whether it was sent. */
  send(frame: unknown): boolean;
  /** Send a frame now or keep it: at most 1000, the oldest is dropped. Returns what takes it back. */
  sendQueued(frame: unknown, onDrop?: () => void): () => void;
  on(topic: string): Store<TopicEvent | null>;
  /** End it on purpose: status `failed`, failure `null`. */
  close(): void;
}

/** The connection of this page, started if need be; a new one after it has failed. */
export function connect(options?: ConnectOptions): Connection;

/** Subscribing connects. */
export const status: Store<Status>;
/** Why the connection is not open, or `null`. */
export const failure: Store<Failure | null>;
/** The last refused subscription. */
export const denials: Store<Denial | null>;
/** The server's report on the last resume, by topic. */
export const resumed: Store<Record<string, ResumeState> | null>;
/** Whether the server reaches its peers. Subscribing connects. */
export const health: Store<"healthy" | "degraded">;
/** Whether no subscribed stream is loading or reconnecting. */
export const quiescent: Store<boolean>;
/** Always `undefined`. */
export const empty: Store<undefined>;

/** The latest event of a topic; the topic is subscribed while the store is. */
export function on(topic: string): Store<TopicEvent | null>;
/** The latest event of a topic that follows the value of a store. */
export function onDerived<V>(
  topicOf: (value: NonNullable<V>) => string | null | undefined,
  store: StoreLike<V>
): Store<TopicEvent | null>;
/** How often something was dropped or forgotten since the page was loaded. */
export function getCounters(): Record<string, number>;

// ---------------------------------------------------------------- calls

export interface CallOptions {
  /** Calls with one key run once, if the handler is idempotent. */
  idempotencyKey?: string;
  /** Milliseconds. Ignored inside `batch`. */
  timeout?: number;
  /** Rejects here with `CANCELLED`; the server is not told. */
  signal?: AbortSignal;
}

/** A change shown before the server knows of it: an event, or a function of the value. */
export type Change<T> = { event: string; data: any } | ((draft: T) => T | undefined | void);
/** The same for a call with arguments. */
export type CallChange<T, Args extends unknown[]> =
  | { event: string; data: any }
  | ((draft: T, args: Args) => T | undefined | void);

/** An exported function of a live module. */
export interface Rpc<Args extends unknown[] = any[], R = any> {
  /** Identical calls of one microtask share one request. */
  (...args: Args): Promise<R>;
  /** Never shared. */
  fresh(...args: Args): Promise<R>;
  /** The same function with options. */
  with(options: CallOptions): (...args: Args) => Promise<R>;
  /** Send without waiting; dropped while offline. */
  fireAndForget(...args: Args): void;
  /** Call and show the change at once. */
  createOptimistic<T>(store: StreamStore<T>, args: Args, change: CallChange<T, Args>): Promise<R>;
  /** A function that calls and shows the change at once. */
  createOptimistic<T>(store: StreamStore<T>, change: CallChange<T, Args>): (...args: Args) => Promise<R>;
}

/** Send the calls that `fn` makes in one frame, at most 50. */
export function batch<R = any>(fn: () => unknown, options?: { sequential?: boolean }): Promise<R[]>;

// ---------------------------------------------------------------- binary calls and uploads

/** An exported function of a live module that takes bytes. */
export type BinaryRpc<Args extends unknown[] = any[], R = any> = (
  payload: ArrayBuffer | ArrayBufferView | Blob,
  ...args: Args
) => Promise<R>;

/** What can be uploaded: a `File` is read a piece at a time. */
export type UploadSource = Blob | ArrayBuffer | ArrayBufferView | ReadableStream<Uint8Array>;

/** An exported upload of a live module. */
export type Upload<Args extends unknown[] = any[], R = any> = (source: UploadSource, ...args: Args) => UploadHandle<R>;

export interface UploadProgress {
  /** Bytes that the socket has taken. */
  sent: number;
  /** Bytes of the source; unknown for a stream. */
  total: number | undefined;
  /** 0 to 1; unknown for a stream. */
  percent: number | undefined;
  chunks: number;
  /** Over the last second. */
  bytesPerSec: number;
}

/** One upload: await its result, watch how far it is, or end it. */
export interface UploadHandle<R = any> extends Promise<R> {
  readonly sent: number;
  readonly total: number | undefined;
  readonly chunks: number;
  /** 0 to 1, 1 for an empty source; unknown for a stream. */
  readonly progress: number | undefined;
  readonly bytesPerSec: number;
  readonly streamId: number;
  readonly streamIdHex: string;
  on(event: "progress", fn: (progress: UploadProgress) => void): () => void;
  on(event: "complete", fn: (result: R) => void): () => void;
  /** Just before `error`. */
  on(event: "cancel", fn: (reason: string | undefined) => void): () => void;
  on(event: "error", fn: (error: RpcError) => void): () => void;
  /** End it: the server is told, and the promise rejects with `CANCELLED`. */
  cancel(reason?: string): void;
}

// ---------------------------------------------------------------- streams

export type StreamStatus = "loading" | "connected" | "reconnecting" | "error";
export type MergeStrategy = "crud" | "latest" | "set" | "presence" | "cursor";
/** The item type of a list. */
export type Item<T> = T extends readonly (infer I)[] ? I : never;

/** A store of mapped items. */
export interface MappedStore<U> extends Store<U[]> {
  map<V>(fn: (item: U, index: number, list: U[]) => V): MappedStore<V>;
}

/** Where a stream goes on from a value. */
export interface StreamPosition {
  seq?: number;
  version?: unknown;
  schemaVersion?: number;
  cursor?: unknown;
  hasMore?: boolean;
}

/**
 * Take over what the server put into the page with `live_data`: a stream that was preloaded has its value from now on,
 * and asks only for what is new since. Import the streams before.
 * @returns every value, by its name
 */
export function hydrateFromPage(root?: ParentNode): Record<string, any>;

/** The error with which the server rendered the page, or `null`. */
export function pageError(root?: ParentNode): RpcError | null;

/** The error in the JSON that the server answers for a failed page: `decodeError(await response.json())`. */
export function decodeError(payload: unknown): RpcError;

/** The value of a stream: `undefined` while it loads. */
export interface StreamStore<T> extends Store<T | undefined> {
  /** The path on the server, for example `todos/list`. */
  readonly path: string;
  /** The last error or `null`; an error never replaces the value. */
  readonly error: Store<RpcError | null>;
  readonly status: Store<StreamStatus>;
  /**
   * Set the value now. On subscribe the stream asks what is new since `position`, and without one for everything;
   * `hydrateFromPage` does this with what the server put into the page.
   */
  hydrate(data: T, position?: StreamPosition): this;
  /** Apply an event here only; returns what puts the value back. */
  optimistic(event: string, data: any): () => void;
  /** Show a change at once, run the operation, and keep or drop the change by its outcome. */
  mutate<R>(operation: () => R | Promise<R>, change: Change<T>): Promise<R>;
  createOptimistic<Args extends unknown[], R>(
    rpc: Rpc<Args, R>,
    args: Args,
    change: CallChange<T, Args>
  ): Promise<R>;
  /** Load the next page; tells whether there is more after it. */
  loadMore(...extra: unknown[]): Promise<boolean>;
  readonly hasMore: boolean;
  /** Record snapshots for `undo` and `redo`. Default 50. */
  enableHistory(max?: number): void;
  undo(): void;
  redo(): void;
  readonly canUndo: boolean;
  readonly canRedo: boolean;
  pauseHistory(): void;
  resumeHistory(): void;
  /** A store that is active only while the condition holds. */
  when(condition: boolean | StoreLike<unknown> | (() => unknown)): Store<T | undefined>;
  map<U>(fn: (item: Item<T>, index: number, list: Item<T>[]) => U): MappedStore<U>;
  /** The value in `current`, subscribed from the first reading until `release()`. */
  rune(): { readonly current: T | undefined; release(): void };
}

/** A stream with arguments: the same arguments give the same store. */
export type StreamFactory<Args extends unknown[], T> = (...args: Args) => StreamStore<T>;

/** Most changes of one stream that may wait for their operation. */
export const MAX_OPTIMISTIC_QUEUE_DEPTH: 1000;

/** A store computed from others: two or more stores, then the function of their values. */
export function combine<A, B, R>(a: StoreLike<A>, b: StoreLike<B>, fn: (a: A, b: B) => R): Store<R>;
export function combine<A, B, C, R>(
  a: StoreLike<A>,
  b: StoreLike<B>,
  c: StoreLike<C>,
  fn: (a: A, b: B, c: C) => R
): Store<R>;
export function combine<A, B, C, D, R>(
  a: StoreLike<A>,
  b: StoreLike<B>,
  c: StoreLike<C>,
  d: StoreLike<D>,
  fn: (a: A, b: B, c: C, d: D) => R
): Store<R>;
export function combine(...parts: [StoreLike<any>, StoreLike<any>, ...any[]]): Store<any>;

// ---------------------------------------------------------------- plugins of the server

/** Options of a store that forgets. */
export interface AgeOptions {
  /** Milliseconds after which an entry goes that was not heard of. Default 0: never. */
  maxAge?: number;
}
export interface Cursor<Data = any, User = any> {
  user: User;
  data: Data;
}
/** The last event of a group. */
export interface GroupStore extends Store<TopicEvent | null> {
  readonly members: Store<Array<{ role: string }>>;
}
export interface Channel<Events extends string = string> {
  readonly topic: string;
  /** The last event of this name, or of any. */
  on(event?: Events): Store<TopicEvent | null>;
}

/** The data of those present on a topic. */
export function presence<Data = any>(topic: string, options?: AgeOptions): Store<Data[]>;
/** The cursors on a topic by key; a new `Map` at each change. */
export function cursor<Data = any, User = any>(topic: string, options?: AgeOptions): Store<Map<string, Cursor<Data, User>>>;
/** The last event of a group and its members. */
export function group(name: string): GroupStore;
/** A topic whose events have names; with `events`, a name that is not among them is an error. */
export function channel<Events extends string = string>(topic: string, events?: readonly Events[]): Channel<Events>;
/** The events of a topic after number `since` that the server keeps, then the live ones; `truncated` if not all were kept. */
export function onReplay(topic: string, options?: { since?: number }): Store<TopicEvent | null>;

// ---------------------------------------------------------------- pushes and signals

/** Answer requests of the server; the newest handler of an event counts. */
export function onPush(event: string, handler: (data: any) => unknown): Unsubscribe;
/** Listen to the signals of a user. */
export function onSignal(userId: string, handler: (event: string, data: any) => void): Unsubscribe;

// ---------------------------------------------------------------- assertions and devtools

/** Count and log that something is not as it must be; never throws. */
export function assert(condition: unknown, category: string, context?: Record<string, unknown>): void;
/** How often each category of `assert` failed. */
export function getAssertionCounters(): Record<string, number>;

/** What happened lately; values under keys that look like secrets are left out. */
export interface Devtools {
  /** Keys, in lower case, whose values are not kept. */
  readonly redactKeys: Set<string>;
  isPaused: boolean;
  /** Calls without an answer, by id. */
  readonly pending: Map<string, { path: string; args: any; startedAt: number }>;
  /** The last 50 answers; durations in milliseconds. */
  readonly calls: Array<{ path: string; args: any; ok: boolean; result: any; duration: number }>;
  /** The last 100 calls of `fireAndForget`. */
  readonly volatile: Array<{ path: string; args: any; at: number; isDropped: boolean }>;
  readonly volatileDropped: number;
  /** The last 20 events of each stream, by path. */
  readonly events: Map<string, Array<{ event: string; data: any; at: number }>>;
  /** The streams in use. */
  readonly streams: Array<{
    path: string;
    args: unknown[];
    topic: string | null;
    merge: string;
    status: StreamStatus;
    error: RpcError | null;
    value: any;
    /** How many functions listen to it. */
    subscribers: number;
  }>;
  clear(): void;
}
/** `null` unless the page runs under the dev server. */
export const __devtools: Devtools | null;

// ---------------------------------------------------------------- what generated modules use

export interface StreamOptions {
  merge?: MergeStrategy;
  key?: string;
  prepend?: boolean;
  max?: number;
  replay?: boolean;
}
/** @internal */
export function __rpc<Args extends unknown[] = any[], R = any>(path: string): Rpc<Args, R>;
/** @internal */
export function __binaryRpc<Args extends unknown[] = any[], R = any>(path: string): BinaryRpc<Args, R>;
/** @internal */
export function __upload<Args extends unknown[] = any[], R = any>(path: string): Upload<Args, R>;
/** @internal */
export function __stream<T = any>(path: string, options?: StreamOptions, isDynamic?: false): StreamStore<T>;
/** @internal */
export function __stream<Args extends unknown[] = any[], T = any>(
  path: string,
  options: StreamOptions,
  isDynamic: true
): StreamFactory<Args, T>;
/** @internal */
export function __defaults(defaults: { path?: string }): void;
/** Time, chance and animation frames; tests put their own in. @internal */
export const __environment: {
  now(): number;
  random(): number;
  setTimeout(fn: () => void, ms: number): unknown;
  clearTimeout(timer: unknown): void;
  setInterval(fn: () => void, ms: number): unknown;
  clearInterval(timer: unknown): void;
  requestFrame(fn: () => void): boolean;
};
