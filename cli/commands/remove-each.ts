import { messageOf } from '../../proto/runtime/errors.ts';
import { ApiError } from '../client.ts';
import { CommandError } from '../command.ts';
import type { Context } from '../context.ts';

/** Removes one after another, naming those that went; a failure does not keep the rest from being tried. */
export async function removeEach(
  context: Context,
  refs: readonly string[],
  remove: (ref: string) => Promise<unknown>,
): Promise<void> {
  const problems: string[] = [];
  for (const ref of refs) {
    try {
      await remove(ref);
      context.print(ref);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      problems.push(`Error response from daemon: ${messageOf(error)}`);
    }
  }
  if (problems.length > 0) throw new CommandError(problems.join('\n'));
}
