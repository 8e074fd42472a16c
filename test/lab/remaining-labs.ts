import { undoWhenInterrupted } from './interruption.ts';
import { removeAbandonedLabs } from './lab.ts';
import { childrenOf, signal, untilGone } from './processes.ts';

/** Killing hosts and removing what they have on disk, on a machine with other things to do. */
const REMOVAL_MS = 60_000;

/**
 * For the process that runs test files in others, which would vanish with it: ended by a signal it has them end first, with their labs. Those of
 * a file whose process has died are removed at the end.
 */
export function setup(): () => Promise<void> {
  const done = undoWhenInterrupted(async () => {
    const workers = childrenOf(process.pid);
    signal(workers, 'SIGTERM');
    await untilGone(workers, REMOVAL_MS);
    await removeAbandonedLabs();
  });
  return async () => {
    done();
    await removeAbandonedLabs();
  };
}
