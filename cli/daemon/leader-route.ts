import type { ControlApi, ControlOperation } from '../../manager/controlapi/control-api.ts';
import { CONTROL_OPERATIONS } from '../../manager/leaderproxy/control-operations.ts';
import { type Clock, sleep } from '../../proto/runtime/clock.ts';
import { WaggleError } from '../../proto/runtime/errors.ts';
import { NO_LEADER } from './swarm-texts.ts';

/** An election takes about a second; a swarm without a leader for longer than this has lost its quorum. */
const LEADER_WAIT_MS = 8_000;
const POLL_MS = 20;

const OUTCOME_UNKNOWN = 'the leader changed while the request was under way: it may or may not have been carried out';

/** Operations that may be asked again when their answer was lost. */
const READS: ReadonlySet<string> = new Set(CONTROL_OPERATIONS.filter((name) => /^(get|list)/.test(name)));

export interface LeaderRouteModules {
  /** Who answers right now: this manager, the leader's address, or nobody. `epoch` changes with each change of leader. */
  leader: () => { kind: 'self' | 'other' | 'none'; epoch: string };
  onLeaderChange: (listener: () => void) => () => void;
  /** This manager's own control API; reads wait until it holds all that was acknowledged. */
  local: ControlApi;
  readBarrier: () => Promise<void>;
  /** The leader's, over the network. */
  remote: ControlApi;
  clock: Clock;
}

/**
 * The control API of any manager: answered here while this one leads, else by the leader. Waits out a short election.
 * A read is asked again when the leader changes while it is under way; a change is not, since it may have been made: its caller
 * is told so.
 */
export function routeToLeader(modules: LeaderRouteModules): ControlApi {
  const operations = CONTROL_OPERATIONS.map((operation) => [
    operation,
    (args: object) => callLeader(modules, operation, args),
  ]);
  return Object.fromEntries(operations) as ControlApi;
}

async function callLeader(modules: LeaderRouteModules, operation: ControlOperation, args: object): Promise<unknown> {
  const deadline = modules.clock.monotonic() + LEADER_WAIT_MS;
  const isRead = READS.has(operation);
  for (;;) {
    const { kind, epoch } = modules.leader();
    if (kind === 'none') {
      if (modules.clock.monotonic() > deadline) throw new WaggleError('unknown', NO_LEADER);
      await sleep(modules.clock, POLL_MS);
      continue;
    }
    try {
      return await untilLeaderChanges(modules, epoch, ask(modules, kind, operation, args));
    } catch (error) {
      if (modules.clock.monotonic() > deadline || !mayAskAgain(error, isRead)) throw error;
      await sleep(modules.clock, POLL_MS);
    }
  }
}

async function ask(
  { local, remote, readBarrier }: LeaderRouteModules,
  kind: 'self' | 'other',
  operation: ControlOperation,
  args: object,
): Promise<unknown> {
  if (kind === 'self' && READS.has(operation)) await readBarrier();
  const api = kind === 'self' ? local : remote;
  return (api[operation] as (given: object) => Promise<unknown>).call(api, args);
}

/** A leader that is frozen answers nothing: the election of another one ends the wait. */
async function untilLeaderChanges<T>(modules: LeaderRouteModules, epoch: string, answer: Promise<T>): Promise<T> {
  const { promise: changed, reject } = Promise.withResolvers<never>();
  const unsubscribe = modules.onLeaderChange(() => {
    const now = modules.leader();
    if (now.kind !== 'none' && now.epoch !== epoch) reject(new WaggleError('unavailable', OUTCOME_UNKNOWN));
  });
  try {
    return await Promise.race([answer, changed]);
  } finally {
    unsubscribe();
  }
}

/** A manager that does not lead has done nothing; what was on its way when a leader fell is known only for reads. */
function mayAskAgain(error: unknown, isRead: boolean): boolean {
  if (!(error instanceof WaggleError) || error.code !== 'unavailable') return false;
  return isRead || /does not lead|does not have a leader/.test(error.message);
}
