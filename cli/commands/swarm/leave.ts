import type { Verb } from '../../command.ts';

export const addLeave: Verb = (noun, act) => {
  noun
    .command('leave')
    .description('Leave the swarm')
    .option('-f, --force', 'Force this node to leave the swarm, ignoring warnings')
    .action(
      act<{ force?: boolean }>(async (context, flags) => {
        await context.client.post('/swarm/leave', undefined, { force: flags.force === true });
        context.print('Node left the swarm.');
      }),
    );
};
