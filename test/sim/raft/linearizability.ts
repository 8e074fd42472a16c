/**
 * Is a history of concurrent operations one that a single copy of the object could have given, each operation taking effect
 * at one moment between its call and its return? The search of Wing and Gong (1993) with Lowe's cache of configurations
 * (2017). It knows nothing of Raft.
 */

/** What the object does when it is asked one thing at a time. */
export interface SequentialModel<State, Command, Result> {
  initial: State;
  apply(state: State, command: Command): { state: State; result: Result };
  /** The same for equal states, different for different ones. */
  key(state: State): string;
  equal(a: Result, b: Result): boolean;
}

export interface Operation<Command, Result> {
  call: number;
  command: Command;
  /** Absent when nobody knows: it may have taken effect at any time since the call, or never. */
  outcome?: { at: number; result: Result };
}

interface Node {
  operation: number;
  kind: 'call' | 'return';
  previous: Node | undefined;
  next: Node | undefined;
}

/** Times must be distinct. Effort grows with the number of operations that overlap, so histories are given key by key. */
export function isLinearizable<S, C, R>(model: SequentialModel<S, C, R>, history: readonly Operation<C, R>[]): boolean {
  const { head, calls, returns } = linkedEvents(history);
  const done = new Uint32Array(Math.ceil(history.length / 32));
  const seen = new Set<string>();
  const path: { node: Node; state: S }[] = [];
  let state = model.initial;
  let open = history.filter((operation) => operation.outcome !== undefined).length;
  let node = head.next;
  while (open > 0 && node !== undefined) {
    const { operation } = node;
    const { command, outcome } = history[operation] as Operation<C, R>;
    if (node.kind === 'return') {
      // Whatever was chosen, this one should have been before.
      const last = path.pop();
      if (last === undefined) return false;
      restore(returns.get(last.node.operation));
      restore(last.node);
      flip(done, last.node.operation);
      if (history[last.node.operation]?.outcome !== undefined) open++;
      state = last.state;
      node = last.node.next;
      continue;
    }
    const step = model.apply(state, command);
    // What nobody saw and what changes nothing need not have been: to leave it out halves the search for each of them.
    const fits =
      outcome === undefined ? model.key(step.state) !== model.key(state) : model.equal(step.result, outcome.result);
    flip(done, operation);
    const configuration = `${done.join()}|${model.key(step.state)}`;
    if (!fits || seen.has(configuration)) {
      flip(done, operation);
      node = node.next;
      continue;
    }
    seen.add(configuration);
    path.push({ node, state });
    state = step.state;
    remove(calls.get(operation));
    remove(returns.get(operation));
    if (outcome !== undefined) open--;
    node = head.next;
  }
  return open === 0;
}

function linkedEvents(history: readonly Operation<unknown, unknown>[]): {
  head: Node;
  calls: Map<number, Node>;
  returns: Map<number, Node>;
} {
  const events = history.flatMap(({ call, outcome }, operation) => [
    { at: call, operation, kind: 'call' as const },
    ...(outcome === undefined ? [] : [{ at: outcome.at, operation, kind: 'return' as const }]),
  ]);
  const head: Node = { operation: -1, kind: 'call', previous: undefined, next: undefined };
  const calls = new Map<number, Node>();
  const returns = new Map<number, Node>();
  let last = head;
  for (const { operation, kind } of events.toSorted((a, b) => a.at - b.at)) {
    const node: Node = { operation, kind, previous: last, next: undefined };
    last.next = node;
    last = node;
    (kind === 'call' ? calls : returns).set(operation, node);
  }
  return { head, calls, returns };
}

function remove(node: Node | undefined): void {
  if (node?.previous !== undefined) node.previous.next = node.next;
  if (node?.next !== undefined) node.next.previous = node.previous;
}

/** Undoes `remove`, in the opposite order. */
function restore(node: Node | undefined): void {
  if (node?.previous !== undefined) node.previous.next = node;
  if (node?.next !== undefined) node.next.previous = node;
}

function flip(bits: Uint32Array, at: number): void {
  bits[at >> 5] = (bits[at >> 5] ?? 0) ^ (1 << (at & 31));
}
