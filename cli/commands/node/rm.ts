import { requireArgs, type Verb } from '../../command.ts';
import { removeEach } from '../remove-each.ts';

export const addRm: Verb = (noun, act) => {
  noun
    .command('rm')
    .alias('remove')
    .description('Remove one or more nodes from the swarm')
    .argument('[node...]', 'hostname or ID')
    .option('-f, --force', 'Force remove a node from the swarm')
    .action(
      act<{ force?: boolean }>(async (context, flags, args) => {
        requireArgs('node rm', args, 1);
        await removeEach(context, args, (ref) =>
          context.client.delete(`/nodes/${encodeURIComponent(ref)}`, { force: flags.force === true ? 1 : undefined }),
        );
      }),
    );
};
