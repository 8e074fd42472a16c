import { messageOf } from '../../proto/runtime/errors.ts';

type Undo = () => Promise<unknown>;

const STATUS = { SIGINT: 130, SIGTERM: 143 } as const;
const SIGNALS = ['SIGINT', 'SIGTERM'] as const;

const undos = new Set<Undo>();
let ending = false;

/** Somebody has ended this process, and it ends as soon as what is to be undone is: nothing more may be started. */
export function isInterrupted(): boolean {
  return ending;
}

/**
 * From now on SIGINT and SIGTERM do not end this process before `undo` has been carried out, beside all others; it is carried out at most
 * once. @returns the function that takes it back.
 */
export function undoWhenInterrupted(undo: Undo): () => void {
  // Not `once`: with no listener left, execa's own one would end the process at once.
  if (undos.size === 0) for (const signal of SIGNALS) process.on(signal, heed);
  undos.add(undo);
  return () => {
    undos.delete(undo);
    if (undos.size === 0 && !ending) for (const signal of SIGNALS) process.off(signal, heed);
  };
}

/** For programs, not for tests: an error that nobody has caught is told and ends the process like a signal. */
export function undoWhenFailed(): void {
  process.on('uncaughtException', (error) => {
    // What is being undone makes fail what still goes on.
    if (!ending) process.stderr.write(`${messageOf(error)}\n`);
    void end(1);
  });
}

function heed(signal: NodeJS.Signals): void {
  void end(signal === 'SIGINT' ? STATUS.SIGINT : STATUS.SIGTERM);
}

async function end(status: number): Promise<void> {
  if (ending) return;
  ending = true;
  const results = await Promise.allSettled([...undos].map((undo) => undo()));
  for (const result of results) if (result.status === 'rejected') process.stderr.write(`${messageOf(result.reason)}\n`);
  process.exit(status);
}
