import type { Command } from 'commander';
import type { Context } from './context.ts';

/** Ends a command with a message on standard error and an exit status. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
  readonly exitCode: number;

  constructor(message: string, exitCode = 1) {
    super(message);
    this.exitCode = exitCode;
  }
}

/** A verb's work: gets its parsed flags and its positional arguments. */
export type Handler<Options> = (context: Context, options: Options, args: string[]) => Promise<void>;

/** Turns a Handler into what commander calls; made once by the program, which knows the context. */
export type Act = <Options>(handler: Handler<Options>) => (...given: unknown[]) => Promise<void>;

/** Adds one verb to its noun. */
export type Verb = (noun: Command, act: Act) => void;

/** Collects a flag that may be given several times. */
export function collect(value: string, before: string[] | undefined): string[] {
  return [...(before ?? []), value];
}

/** Checks the number of positional arguments, in docker's words. @throws CommandError */
export function requireArgs(
  command: string,
  args: readonly string[],
  least: number,
  most = Number.POSITIVE_INFINITY,
): void {
  if (args.length >= least && args.length <= most) return;
  const plural = (count: number): string => (count === 1 ? '1 argument' : `${count} arguments`);
  const wanted =
    least === most
      ? `requires exactly ${plural(least)}`.replace('exactly 0', 'no')
      : `requires at least ${plural(least)}`;
  throw new CommandError(`"waggle ${command}" ${wanted}.\nSee 'waggle ${command} --help'.`);
}
