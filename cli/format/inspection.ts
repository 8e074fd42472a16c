import type { Context } from '../context.ts';
import { ApiError } from '../client.ts';
import { CommandError } from '../command.ts';
import { messageOf } from '../../proto/runtime/errors.ts';
import { compileTemplate, goJson } from './template.ts';

/**
 * `inspect`: every object that is found, as a JSON array or by a template; those that are not found are named on
 * standard error and make the command fail, as docker has it.
 */
export async function printInspection(
  context: Context,
  refs: readonly string[],
  fetch: (ref: string) => Promise<unknown>,
  format: string | undefined,
): Promise<void> {
  const found: unknown[] = [];
  const problems: string[] = [];
  for (const ref of refs) {
    try {
      found.push(await fetch(ref));
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      problems.push(`Error response from daemon: ${messageOf(error)}`);
    }
  }
  if (format === undefined) context.print(JSON.stringify(found, null, 4));
  else if (format === 'json') for (const each of found) context.print(goJson(each));
  else {
    const render = await compileTemplate(format);
    for (const each of found) context.print(render(each));
  }
  if (problems.length > 0) throw new CommandError(problems.join('\n'));
}
