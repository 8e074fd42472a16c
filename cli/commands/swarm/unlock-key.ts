import type { ClusterSpec } from '../../../proto/objects/cluster.ts';
import { ApiError } from '../../client.ts';
import { CommandError, type Verb } from '../../command.ts';
import type { Context } from '../../context.ts';
import { unlockAdvice } from './init.ts';

interface Flags {
  quiet?: boolean;
  rotate?: boolean;
}

/** Empty while managers are not locked. @throws CommandError */
export async function currentUnlockKey(context: Context): Promise<string> {
  try {
    return (await context.client.get<{ UnlockKey: string }>('/swarm/unlockkey')).UnlockKey;
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    throw new CommandError(`could not fetch unlock key: Error response from daemon: ${error.message}`);
  }
}

export const addUnlockKey: Verb = (noun, act) => {
  noun
    .command('unlock-key')
    .description('Manage the unlock key')
    .option('-q, --quiet', 'Only display token')
    .option('--rotate', 'Rotate unlock key')
    .action(
      act<Flags>(async (context, flags) => {
        if (flags.rotate === true) {
          const swarm = await context.client.get<{ Version: { Index: number }; Spec: ClusterSpec }>('/swarm');
          if (swarm.Spec.EncryptionConfig?.AutoLockManagers !== true) {
            throw new CommandError('cannot rotate because autolock is not turned on');
          }
          const query = { version: swarm.Version.Index, rotateManagerUnlockKey: true };
          await context.client.post('/swarm/update', swarm.Spec, query);
          if (flags.quiet !== true) context.print('Successfully rotated manager unlock key.\n');
        }
        const key = await currentUnlockKey(context);
        if (key === '') throw new CommandError('no unlock key is set');
        context.print(flags.quiet === true ? key : unlockAdvice(key));
      }),
    );
};
