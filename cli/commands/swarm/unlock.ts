import { CommandError, type Verb } from '../../command.ts';

export const addUnlock: Verb = (noun, act) => {
  noun
    .command('unlock')
    .description('Unlock swarm')
    .action(
      act(async (context) => {
        const { Swarm } = await context.client.get<{ Swarm: { LocalNodeState: string } }>('/info');
        if (Swarm.LocalNodeState === 'inactive') throw new CommandError('Error: This node is not part of a swarm');
        if (Swarm.LocalNodeState !== 'locked') throw new CommandError('Error: swarm is not locked');
        const key = await context.readSecret('Enter unlock key: ');
        await context.client.post('/swarm/unlock', { UnlockKey: key });
      }),
    );
};
