import { Command, CommanderError } from 'commander';
import { messageOf } from '../proto/runtime/errors.ts';
import { ApiClient, ApiError } from './client.ts';
import { type Act, CommandError } from './command.ts';
import { addCommands } from './commands/commands.ts';
import type { Context } from './context.ts';
import { explainUsage } from './usage-error.ts';
import { normalizeFlags } from './flags.ts';

export const VERSION = '0.1.0';
const DEFAULT_HOST = 'unix:///run/waggle/docker.sock';
const HOST_FLAGS = new Set(['-H', '--host']);

/** What the program prints to, without its connection. */
export type Terminal = Omit<Context, 'client'>;

/** Runs the command line. @returns the exit status. */
export async function runProgram(argv: readonly string[], terminal: Terminal, defaultHost?: string): Promise<number> {
  const program = await buildProgram(argv, terminal, defaultHost ?? DEFAULT_HOST);
  try {
    await program.parseAsync(normalizeFlags(program, argv), { from: 'user' });
    return 0;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return 0;
    const problem = explainUsage(program, argv, error);
    const text = problem instanceof ApiError ? `Error response from daemon: ${problem.message}` : messageOf(problem);
    // A command that has said all on standard output sets only its status.
    if (text !== '') terminal.warn(text);
    return problem instanceof CommandError ? problem.exitCode : 1;
  }
}

async function buildProgram(argv: readonly string[], terminal: Terminal, defaultHost: string): Promise<Command> {
  const program = new Command('waggle')
    .description('Turns hosts with a Docker Engine into one swarm with its own overlay networks.')
    .version(`Waggle version ${VERSION}`, '-v, --version', 'Print version information and quit')
    .option('-H, --host <url>', 'Daemon socket to connect to', defaultHost)
    .configureOutput({
      writeOut: (text) => terminal.print(text.trimEnd()),
      writeErr: (text) => terminal.warn(text.trimEnd()),
      // Told by runProgram, in docker's words.
      outputError: () => undefined,
    })
    .enablePositionalOptions()
    .showHelpAfterError(false)
    .exitOverride();
  const act: Act =
    (handler) =>
    async (...given) => {
      const command = given.at(-1) as Command;
      const host = (program.opts<{ host: string }>().host ?? defaultHost) as string;
      const context: Context = { ...terminal, client: new ApiClient(host) };
      await handler(context, command.opts() as never, command.args);
    };
  await addCommands(program, act, firstWords(argv));
  return program;
}

/** What is neither a flag nor the value of the program's only flag that takes one. */
function firstWords(argv: readonly string[]): string[] {
  return argv.filter((word, at) => !word.startsWith('-') && !HOST_FLAGS.has(argv[at - 1] ?? ''));
}
