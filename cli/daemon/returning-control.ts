import type { ControlApi } from '../../manager/controlapi/control-api.ts';
import { CONTROL_OPERATIONS } from '../../manager/leaderproxy/control-operations.ts';
import { type Clock, sleep } from '../../proto/runtime/clock.ts';
import { WaggleError } from '../../proto/runtime/errors.ts';

/** A manager that starts takes part again after a second or two. */
const PATIENCE_MS = 10_000;
const POLL_MS = 50;

/** Said while a node starts, when it has taken longer than anybody waits. */
export const RETURNING = 'this node is on its way back into the swarm';

export interface ReturningControlModules {
  isReturning: () => boolean;
  /** What answers once it is not. @throws WaggleError when it has not come back. */
  control: () => ControlApi;
  clock: Clock;
}

/** The control API of a manager that starts, was promoted or was given its key: what is asked of it waits until it takes part. */
export function returningControl(modules: ReturningControlModules): ControlApi {
  const operations = CONTROL_OPERATIONS.map((operation) => [
    operation,
    async (args: object) => {
      await untilReturned(modules);
      return (modules.control()[operation] as (given: object) => Promise<unknown>)(args);
    },
  ]);
  return Object.fromEntries(operations) as ControlApi;
}

async function untilReturned({ isReturning, clock }: ReturningControlModules): Promise<void> {
  const deadline = clock.monotonic() + PATIENCE_MS;
  while (isReturning()) {
    if (clock.monotonic() > deadline) throw new WaggleError('unavailable', RETURNING);
    await sleep(clock, POLL_MS);
  }
}
