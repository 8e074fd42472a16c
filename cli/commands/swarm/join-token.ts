import type { ClusterSpec, JoinTokens } from '../../../proto/objects/cluster.ts';
import { CommandError, requireArgs, type Verb } from '../../command.ts';
import type { Context } from '../../context.ts';
import { managerAddress, printJoinCommand } from './join-command.ts';

interface Swarm {
  Version: { Index: number };
  Spec: ClusterSpec;
  JoinTokens: JoinTokens;
}

interface Flags {
  quiet?: boolean;
  rotate?: boolean;
}

export const addJoinToken: Verb = (noun, act) => {
  noun
    .command('join-token')
    .description('Manage join tokens')
    .argument('[role...]', 'worker or manager')
    .option('-q, --quiet', 'Only display token')
    .option('--rotate', 'Rotate join token')
    .action(
      act<Flags>(async (context, flags, args) => {
        requireArgs('swarm join-token', args, 1, 1);
        const [role] = args;
        if (role !== 'worker' && role !== 'manager') throw new CommandError(`unknown role ${role}`);
        if (flags.rotate === true) {
          await rotate(context, role);
          if (flags.quiet !== true) context.print(`Successfully rotated ${role} join token.\n`);
        }
        const { JoinTokens: tokens } = await context.client.get<Swarm>('/swarm');
        const token = role === 'worker' ? tokens.Worker : tokens.Manager;
        if (flags.quiet === true) context.print(token);
        else printJoinCommand(context, role, token, await managerAddress(context));
      }),
    );
};

async function rotate(context: Context, role: 'worker' | 'manager'): Promise<void> {
  const swarm = await context.client.get<Swarm>('/swarm');
  const which = role === 'worker' ? 'rotateWorkerToken' : 'rotateManagerToken';
  await context.client.post('/swarm/update', swarm.Spec, { version: swarm.Version.Index, [which]: true });
}
