import type { ClusterSpec } from '../../../proto/objects/cluster.ts';
import type { Verb } from '../../command.ts';
import { unlockAdvice } from './init.ts';
import { currentUnlockKey } from './unlock-key.ts';
import { addSpecFlags, applySpecFlags, type SpecFlags } from './spec-flags.ts';

function isLocked(spec: ClusterSpec): boolean {
  return spec.EncryptionConfig?.AutoLockManagers === true;
}

export const addUpdate: Verb = (noun, act) => {
  addSpecFlags(noun.command('update').description('Update the swarm'))
    .option('--no-autolock', 'Disable manager autolocking')
    .action(
      act<SpecFlags>(async (context, flags) => {
        const swarm = await context.client.get<{ Version: { Index: number }; Spec: ClusterSpec }>('/swarm');
        const spec = applySpecFlags(swarm.Spec, flags);
        await context.client.post('/swarm/update', spec, { version: swarm.Version.Index });
        context.print('Swarm updated.');
        const isNewlyLocked = isLocked(spec) && !isLocked(swarm.Spec);
        if (!isNewlyLocked) return;
        const key = await currentUnlockKey(context);
        if (key !== '') context.print(unlockAdvice(key));
      }),
    );
};
