import type { Verb } from '../../command.ts';

export const addUnlock: Verb = (noun, act) => {
  noun
    .command('unlock')
    .description('Unlock swarm')
    .action(
      act(async (context) => {
        const key = await context.readSecret('Enter unlock key: ');
        await context.client.post('/swarm/unlock', { UnlockKey: key });
      }),
    );
};
