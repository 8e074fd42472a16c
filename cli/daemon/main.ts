import { flushCompileCache } from 'node:module';
import { systemClock } from '../../proto/runtime/clock.ts';
import { messageOf } from '../../proto/runtime/errors.ts';
import { createLog } from '../../proto/runtime/log.ts';
import { systemRandom } from '../../proto/runtime/random.ts';
import { CommandError } from '../command.ts';
import { Daemon } from './daemon.ts';
import { type DaemonFlags, parseOptions } from './options.ts';
import { checkHost, searchPath } from './preflight.ts';

export type { DaemonFlags } from './options.ts';

/** Longest orderly end; what is still under way then is ended with the process. */
const STOP_MS = 15_000;

/** Runs the node until SIGTERM or SIGINT, or until it cannot go on. @throws CommandError when it cannot begin. */
export async function runDaemon(flags: DaemonFlags): Promise<void> {
  const options = parseOptions(flags);
  const log = createLog(options.logLevel);
  const ended = Promise.withResolvers<Error | undefined>();
  const daemon = new Daemon(options, {
    clock: systemClock,
    random: systemRandom,
    log,
    onFatal: (error) => ended.resolve(error),
  });
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => ended.resolve(undefined));
  process.on('unhandledRejection', (error) => ended.resolve(error instanceof Error ? error : new Error(String(error))));
  // What the daemon runs is found where checkHost looks for it.
  process.env.PATH = searchPath().join(':');
  // Node keeps what it compiled when a process ends; a daemon is often killed, and now nobody waits for it yet.
  flushCompileCache();
  try {
    checkHost(options);
    await daemon.start();
  } catch (error) {
    log.error({ error: messageOf(error) }, 'the node cannot be started');
    throw new CommandError(`waggle daemon: ${messageOf(error)}`);
  }
  log.info({ socket: options.apiSocket }, 'the node is up');
  const failure = await ended.promise;
  if (failure !== undefined)
    log.error({ error: failure.message, stack: failure.stack }, 'the node cannot go on and ends');
  systemClock.after(STOP_MS, () => process.exit(1));
  await daemon
    .stop()
    .catch((error: unknown) => log.error({ error: messageOf(error) }, 'the node did not end in good order'));
  process.exit(failure === undefined ? 0 : 1);
}
