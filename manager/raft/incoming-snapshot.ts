import { messageOf, WaggleError } from '../../proto/runtime/errors.ts';
import type { StagedState, StateMachine } from '../store/transaction.ts';
import type { SnapshotMeta } from './core/entry.ts';
import type { LogStore, StagedSnapshot } from './log/log-store.ts';

/** A leader's snapshot that is whole, checked and on the disk, and not in force yet. */
export interface IncomingSnapshot {
  staged: StagedSnapshot;
  state: StagedState;
}

/**
 * Takes a snapshot in chunk by chunk, each one onto the disk and into the state that is to come before the next one is asked for: the
 * sender is held up, and no more than a chunk is in memory beside that state. A failure leaves nothing.
 * @throws WaggleError invalid-argument for a state that cannot be read; what `chunks` throws; aborted when a newer snapshot comes.
 */
export async function takeIn(
  meta: SnapshotMeta,
  chunks: AsyncIterable<Uint8Array>,
  { log, stateMachine }: { log: LogStore; stateMachine: StateMachine },
): Promise<IncomingSnapshot> {
  const staged = await log.stage(meta);
  const state = stateMachine.stage();
  try {
    for await (const chunk of chunks) {
      readable(() => state.write(chunk));
      await staged.write(chunk);
    }
    readable(() => state.finish());
    await staged.finish();
  } catch (error) {
    await staged.discard();
    throw error;
  }
  return { staged, state };
}

function readable(work: () => void): void {
  try {
    work();
  } catch (error) {
    throw new WaggleError('invalid-argument', `the raft snapshot is refused: ${messageOf(error)}`, { cause: error });
  }
}
