import type { ClusterSpec } from '../../../proto/objects/cluster.ts';
import type { Verb } from '../../command.ts';
import { addSpecFlags, applySpecFlags, type SpecFlags } from './spec-flags.ts';

export const addUpdate: Verb = (noun, act) => {
  addSpecFlags(noun.command('update').description('Update the swarm'))
    .option('--no-autolock', 'Disable manager autolocking')
    .action(
      act<SpecFlags>(async (context, flags) => {
        const swarm = await context.client.get<{ Version: { Index: number }; Spec: ClusterSpec }>('/swarm');
        const spec = applySpecFlags(swarm.Spec, flags);
        await context.client.post('/swarm/update', spec, { version: swarm.Version.Index });
        context.print('Swarm updated.');
      }),
    );
};
