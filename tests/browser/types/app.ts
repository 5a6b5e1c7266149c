// An app written against the types of the browser client: what compiles here must, what is marked must not.
import * as client from "./realtime";
import type {
  BinaryRpc,
  Change,
  Failure,
  ResumeState,
  Rpc,
  RpcError,
  StreamFactory,
  StreamStore,
  Upload,
} from "./realtime";

interface Todo {
  id: string;
  text: string;
  done?: boolean;
}

// What `realtime types` declares for live modules.
declare const add: Rpc<[text: string], Todo>;
declare const todos: StreamStore<Todo[]>;
declare const count: StreamStore<number>;
declare const room: StreamFactory<[id: string], Todo[]>;
declare const thumbnail: BinaryRpc<[width: number], { url: string }>;
declare const photo: Upload<[name: string], { id: string }>;

export function configuring(): void {
  client.configure({ url: "wss://app.test/ws", auth: true, timeout: 5000, onConnect: () => {}, beforeReconnect: async () => {} });
  client.configure({ offline: { queue: true, replay: (calls) => calls.filter((call) => call.queuedAt > 0) } });
  client.configure({ offline: { replay: "batch", onReplayError: (call, error) => console.warn(call.path, error) } });
  // @ts-expect-error an unknown option
  client.configure({ timeOut: 5000 });
  // @ts-expect-error the path is one of `connect` only
  client.configure({ path: "/ws" });
  // @ts-expect-error no such way to replay
  client.configure({ offline: { replay: "random" } });
}

export async function connecting(): Promise<void> {
  const connection = client.connect({ path: "/ws", reconnectInterval: 10, maxReconnectAttempts: 3 });
  await connection.ready();
  const takeBack: () => void = connection.sendQueued({ type: "x" }, () => {});
  const wasSent: boolean = connection.send({ type: "x" });
  takeBack();
  connection.close();
  connection.status.subscribe((now) => {
    // @ts-expect-error there are five states, and this is none
    return now === "closed" && wasSent;
  })();
  // @ts-expect-error only read
  connection.isOpen = true;
}

export function explain(failure: Failure | null): string {
  if (failure === null) return "";
  // @ts-expect-error a preflight has no code
  failure.code;
  return failure.kind === "ws-close" ? `${failure.code} ${failure.reason}` : `${failure.status} ${failure.class}`;
}

export function missed(report: Record<string, ResumeState> | null): number {
  const state = report?.["todos"];
  // @ts-expect-error only what was filled was counted
  state?.count;
  return state?.state === "filled" ? state.count : 0;
}

export async function calling(signal: AbortSignal): Promise<string[]> {
  const made: Todo = await add("milk");
  const again: Todo = await add.with({ idempotencyKey: "k", timeout: 100, signal })("milk");
  const fresh: Promise<Todo> = add.fresh("milk");
  add.fireAndForget("milk");
  // @ts-expect-error an argument of another type
  add(5);
  // @ts-expect-error an argument is missing
  add.fireAndForget();
  // @ts-expect-error an unknown option
  add.with({ time: 5 });
  const both = await client.batch<Todo>(() => [add("a"), add("b")], { sequential: true });
  try {
    await fresh;
  } catch (error) {
    if (error instanceof client.RpcError && error.code === "VALIDATION") return (error.issues ?? []).flatMap((issue) => issue.path);
  }
  return [made, again, ...both].map((todo) => todo.text);
}

export async function uploading(file: File): Promise<string[]> {
  client.configure({ upload: { frameSize: 65_536, highWaterMark: 1 } });
  // @ts-expect-error an unknown option
  client.configure({ upload: { chunks: 5 } });
  const small: { url: string } = await thumbnail(await file.arrayBuffer(), 128);
  // @ts-expect-error text is no payload
  thumbnail("text", 128);
  const handle = photo(file, file.name);
  const off: () => void = handle.on("progress", ({ percent, bytesPerSec }) => percent ?? bytesPerSec);
  handle.on("error", (error) => error.code);
  // @ts-expect-error no such event
  handle.on("done", () => {});
  // @ts-expect-error an argument is missing
  photo(file);
  off();
  if (handle.progress === 0) handle.cancel("changed my mind");
  return [small.url, (await handle).id];
}

export async function streaming(): Promise<void> {
  const off = todos.subscribe((list) => list?.map((todo) => todo.text));
  off();
  // @ts-expect-error undefined while it loads
  todos.get().length;
  const problem: RpcError | null = todos.error.get();
  const texts = todos.map((todo, index) => `${index} ${todo.text}`).map((text) => text.length);
  texts.get() as number[];
  // @ts-expect-error the items of a list, not the list
  todos.map((todo) => todo.length);
  todos.hydrate([{ id: "1", text: "milk" }]).subscribe(() => {});
  const takeBack: () => void = todos.optimistic("created", { id: "2" });
  takeBack();
  const change: Change<Todo[]> = (draft) => draft.filter((todo) => !todo.done);
  const todo: Todo = await todos.mutate(() => add("milk"), change);
  await todos.mutate(() => add("milk"), { event: "created", data: todo });
  // @ts-expect-error a change is an event or a function
  await todos.mutate(() => add("milk"), "created");
  const made: Todo = await todos.createOptimistic(add, ["milk"], (draft, [text]) => [...draft, { id: text, text }]);
  const addSoon = add.createOptimistic(todos, { event: "created", data: made });
  addSoon("milk").then((done) => done.id);
  const more: boolean = await todos.loadMore();
  todos.enableHistory(more ? 10 : undefined);
  if (todos.canUndo) todos.undo();
  room("a").when(client.status).subscribe((list) => list?.[0]?.text);
  // @ts-expect-error the argument is a text
  room(1);
  const rune = count.rune();
  const now: number | undefined = rune.current;
  rune.release();
  client.combine(todos, count, (list, n) => (list ?? []).length + (n ?? 0) + (now ?? 0)).get().toFixed();
  client.combine(todos, count, client.health, (list, n, health) => [list, n, health, problem]);
}

export function listening(): void {
  client.on("feed").subscribe((event) => event?.data.text);
  client.onDerived((list) => list[0]?.id, todos).get()?.topic;
  client.onReplay("feed", { since: 5 }).get()?.seq?.toFixed();
  client.presence<{ name: string }>("room", { maxAge: 1000 }).subscribe((people) => people.map(({ name }) => name));
  client.cursor<{ x: number }, string>("room").subscribe((all) => all.get("1")?.data.x.toFixed());
  client.group("staff").members.subscribe((members) => members.map(({ role }) => role));
  const channel = client.channel("game", ["start", "end"] as const);
  channel.on("start");
  // @ts-expect-error not one of its events
  channel.on("pause");
  // @ts-expect-error no such option
  client.presence("room", { age: 5 });
  client.onPush("ask", async (data) => ({ answer: data }))();
  client.onSignal("u1", (event, data) => console.log(event.length, data))();
}

export function developing(): void {
  client.assert(client.quiescent.get(), "busy", { status: client.status.get() });
  const counts: number[] = [...Object.values(client.getCounters()), ...Object.values(client.getAssertionCounters())];
  // @ts-expect-error there are none outside the dev server
  client.__devtools.clear();
  client.__devtools?.streams.map((stream) => `${stream.path} ${stream.status} ${counts}`);
}

export const generated: Rpc<[number], string> = client.__rpc("a/b");
export const keyed: StreamFactory<[string], Todo[]> = client.__stream<[string], Todo[]>("a/room", { merge: "crud" }, true);
export const single: StreamStore<Todo[]> = client.__stream<Todo[]>("a/list", { key: "id", max: 50 });
