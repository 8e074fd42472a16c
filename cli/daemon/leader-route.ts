import type { ControlApi, ControlOperation } from '../../manager/controlapi/control-api.ts';
import { CONTROL_OPERATIONS, isRead } from '../../manager/leaderproxy/control-operations.ts';
import type { OperationRunner, RequestMark } from '../../manager/leaderproxy/leader-operations.ts';
import { newId } from '../../proto/objects/naming.ts';
import { NO_LEADER } from '../../proto/rpc/no-leader.ts';
import { type Clock, sleep } from '../../proto/runtime/clock.ts';
import { WaggleError } from '../../proto/runtime/errors.ts';

/** An election takes about a second; a swarm without a leader for longer than this has lost its quorum. */
const LEADER_WAIT_MS = 8_000;
const POLL_MS = 20;

const LEADER_CHANGED = 'the leader changed while the request was under way';
const OUTCOME_UNKNOWN = `${LEADER_CHANGED}: it may or may not have been carried out`;

export interface LeaderRouteModules {
  /** Who answers right now: this manager, the leader's address, or nobody; its term. `epoch` changes with each change of leader. */
  leader: () => { kind: 'self' | 'other' | 'none'; term: number; epoch: string };
  onLeaderChange: (listener: () => void) => () => void;
  /** This manager's own operations. */
  local: OperationRunner;
  /** The leader's, over the network. */
  remote: OperationRunner;
  clock: Clock;
}

/**
 * The control API of any manager: answered here while this one leads, else by the leader. Waits out a short election.
 * What was not answered since the leader changed or could not be reached is asked again, of whoever leads then: a
 * change under the same name, so that it is made once.
 */
export function routeToLeader(modules: LeaderRouteModules): ControlApi {
  const operations = CONTROL_OPERATIONS.map((operation) => [
    operation,
    (args: object) => callLeader(modules, operation, args),
  ]);
  return Object.fromEntries(operations) as ControlApi;
}

async function callLeader(modules: LeaderRouteModules, operation: ControlOperation, args: object): Promise<unknown> {
  const { clock, local, remote } = modules;
  const deadline = clock.monotonic() + LEADER_WAIT_MS;
  let mark: Omit<RequestMark, 'term'> | undefined = isRead(operation)
    ? undefined
    : { request: newId(), isRepeat: false };
  for (;;) {
    const { kind, term, epoch } = modules.leader();
    if (kind === 'none') {
      if (clock.monotonic() > deadline) {
        throw mark?.isRepeat === true
          ? new WaggleError('unavailable', OUTCOME_UNKNOWN)
          : new WaggleError('unknown', NO_LEADER);
      }
      await sleep(clock, POLL_MS);
      continue;
    }
    try {
      const runner = kind === 'self' ? local : remote;
      return await untilLeaderChanges(modules, epoch, runner.run(operation, args, mark && { ...mark, term }));
    } catch (error) {
      if (!(error instanceof WaggleError) || error.code !== 'unavailable') throw error;
      if (clock.monotonic() > deadline)
        throw error.message === LEADER_CHANGED ? new WaggleError('unavailable', OUTCOME_UNKNOWN) : error;
      if (mark !== undefined) mark = { ...mark, isRepeat: true };
      await sleep(clock, POLL_MS);
    }
  }
}

/** A leader that is frozen answers nothing: the election of another one ends the wait. */
async function untilLeaderChanges<T>(modules: LeaderRouteModules, epoch: string, answer: Promise<T>): Promise<T> {
  const { promise: changed, reject } = Promise.withResolvers<never>();
  const unsubscribe = modules.onLeaderChange(() => {
    const now = modules.leader();
    if (now.kind !== 'none' && now.epoch !== epoch) reject(new WaggleError('unavailable', LEADER_CHANGED));
  });
  try {
    return await Promise.race([answer, changed]);
  } finally {
    unsubscribe();
  }
}
